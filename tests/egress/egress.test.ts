import { Sandbox, type SandboxOpts } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { killAtEnd } from "../support/sandboxes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { Internet, nameOf, OTHER_SITE, SITE } from "./internet.ts";

let internet: Internet;
let server: TestServer;

beforeAll(async () => {
	internet = await Internet.open();
	server = await startTestServer({ enter: internet.enter });
});

afterAll(async () => {
	await server?.destroy();
	await internet?.[Symbol.asyncDispose]();
});

const ALL = "0.0.0.0/0";
const NAME = nameOf(SITE);
const STRANGER = nameOf(SITE, "example.org");

async function newSandbox(options: SandboxOpts = {}): Promise<Sandbox> {
	const sandbox = killAtEnd(await Sandbox.create("base", { ...server.sdk, ...options }));
	await sandbox.files.write("/tmp/ca.pem", internet.certificate);
	return sandbox;
}

/** What curl in the sandbox got, or its exit code: 28 is a timeout, everything else was told at once. */
async function curl(sandbox: Sandbox, url: string): Promise<string> {
	const command = `curl -s --cacert /tmp/ca.pem --connect-timeout 3 --max-time 5 ${url} || echo failed $?`;
	return (await sandbox.commands.run(command)).stdout.trim();
}

/** Refused or reset, by the stage that was reached. */
const REFUSED = expect.stringMatching(/^failed (7|35|52|56)$/);

describe("addresses", () => {
	test("are reached by default; without internet access they are refused at once", async () => {
		const [open, closed] = await Promise.all([newSandbox(), newSandbox({ allowInternetAccess: false })]);
		expect(await curl(open, `http://${SITE}/`)).toContain(`at ${SITE}`);
		expect(await curl(open, `https://${NAME}/`)).toContain(`at ${SITE}`);
		expect(await curl(closed, `http://${SITE}/`)).toBe("failed 7");
		expect((await closed.getInfo()).allowInternetAccess).toBe(false);
	});

	test("are denied and allowed by lists, allow before deny, and by updates from the moment they return", async () => {
		const sandbox = await newSandbox({ network: { denyOut: [ALL], allowOut: ["203.0.113.10/31"] } });
		expect(await curl(sandbox, `http://${SITE}/`)).toContain(`at ${SITE}`);
		await sandbox.updateNetwork({ denyOut: [SITE] });
		expect(await curl(sandbox, `http://${SITE}/`)).toBe("failed 7");
		expect(await curl(sandbox, `http://${OTHER_SITE}/`)).toContain(`at ${OTHER_SITE}`);
		expect((await sandbox.getInfo()).network).toEqual({ denyOut: [SITE] });
		await sandbox.updateNetwork({ allowInternetAccess: false });
		expect(await curl(sandbox, `http://${OTHER_SITE}/`)).toBe("failed 7");
		await sandbox.updateNetwork({});
		expect(await curl(sandbox, `http://${SITE}/`)).toContain(`at ${SITE}`);
	});
});

describe("domains", () => {
	const network = { denyOut: [ALL], allowOut: ["*.example.com"] };

	test("are reached by HTTP and HTTPS; others, bare addresses and inward names are refused", async () => {
		const sandbox = await newSandbox({ network });
		expect(await curl(sandbox, `http://${NAME}/`)).toContain(`${NAME} at ${SITE}`);
		expect(await curl(sandbox, `https://${NAME}/`)).toContain(`${NAME} at ${SITE}`);
		const closed = [`http://${STRANGER}/`, `https://${STRANGER}/`, `http://${SITE}/`, `https://${SITE}/`, `http://${NAME}:8080/`];
		const inward = ["127.0.0.1", "169.254.169.254", "10.255.255.53", "203.0.113.1"].map(
			(address) => `http://${nameOf(address)}/`,
		);
		for (const url of [...closed, ...inward]) expect([url, await curl(sandbox, url)]).toEqual([url, REFUSED]);
	});

	test("hold in forks, after a pause, and for a server that was killed and started again", async () => {
		const sandbox = await newSandbox({ network, timeoutMs: 600_000 });
		const check = async (checked: Sandbox) => {
			expect(await curl(checked, `https://${NAME}/`)).toContain(`${NAME} at ${SITE}`);
			expect(await curl(checked, `https://${STRANGER}/`)).toEqual(REFUSED);
		};
		const [fork] = await sandbox.fork();
		if (fork === undefined || fork instanceof Error) throw fork ?? new Error("no fork");
		await check(killAtEnd(fork));
		await sandbox.pause();
		await sandbox.connect();
		await check(sandbox);
		await server.killHard();
		await server.start();
		await check(sandbox);
	});
});

describe("header rules", () => {
	const rules = { "*.example.com": [{ transform: { headers: { Authorization: "Bearer s3cret", "X-Key": "k" } } }] };
	const INJECTED = { authorization: "Bearer s3cret", "x-key": "k" };

	/** Headers of a request as the web server had them, or curl's exit code. The guest trusts what its system does. */
	async function headersAt(sandbox: Sandbox, url: string, options = ""): Promise<Record<string, string> | string> {
		const said = `-s -H 'authorization: guest' -H 'x-own: yes' --connect-timeout 3 --max-time 10 ${options}`;
		const { stdout } = await sandbox.commands.run(`curl ${said} ${url}/headers || echo failed $?`);
		return stdout.startsWith("{") ? JSON.parse(stdout) : stdout.trim();
	}

	test("put headers into requests to their hosts, over HTTP and HTTPS, and into no others", async () => {
		const sandbox = await newSandbox({ network: { rules } });
		for (const scheme of ["http", "https"]) {
			expect(await headersAt(sandbox, `${scheme}://${NAME}`)).toMatchObject({ ...INJECTED, "x-own": "yes", host: NAME });
			const stranger = await headersAt(sandbox, `${scheme}://${STRANGER}`);
			expect(stranger).toMatchObject({ authorization: "guest", host: STRANGER });
			expect(stranger).not.toHaveProperty("x-key");
		}
		expect(await headersAt(sandbox, `http://${SITE}`)).toMatchObject({ authorization: "guest" });
		expect((await sandbox.getInfo()).network).toEqual({ rules });
		const held = `import http.client, os, ssl, time
c = http.client.HTTPSConnection("${NAME}")
c.request("GET", "/headers"); print(c.getresponse().read().count(b"s3cret"), flush=True)
while not os.path.exists("/tmp/go"): time.sleep(0.05)
try:
    c.sock.settimeout(5); print("cut" if c.sock.recv(1) == b"" else "open")
except (ConnectionError, ssl.SSLError): print("cut")`;
		await sandbox.files.write("/tmp/held.py", held);
		let said = "";
		const holding = await sandbox.commands.run("python3 /tmp/held.py", {
			background: true,
			onStdout: (text) => {
				said += text;
			},
		});
		await expect.poll(() => said, { timeout: 20_000 }).toBe("1\n");
		await sandbox.updateNetwork({});
		await sandbox.files.write("/tmp/go", "");
		expect((await holding.wait()).stdout).toBe("1\ncut\n");
		expect(await headersAt(sandbox, `https://${NAME}`)).toMatchObject({ authorization: "guest" });
	});

	test("send nothing to an address or a server that is not the host's own", async () => {
		const sandbox = await newSandbox({ network: { rules } });
		const elsewhere = `--resolve ${NAME}:80:${OTHER_SITE} --resolve ${NAME}:443:${OTHER_SITE}`;
		for (const scheme of ["http", "https"]) {
			const { stdout } = await sandbox.commands.run(`curl -s ${elsewhere} ${scheme}://${NAME}/`);
			expect(stdout).toContain(`at ${SITE}`);
			expect(await headersAt(sandbox, `${scheme}://${nameOf("127.0.0.1")}`)).toEqual(REFUSED);
		}
		// The server has no certificate for a name so deep.
		expect(await headersAt(sandbox, `https://${nameOf(SITE, "deep.example.com")}`)).toMatch(
			/could not be reached: \w*(CERT|ALTNAME)/,
		);
		const other = `import http.client
c = http.client.HTTPConnection("${NAME}")
c.request("GET", "/headers"); first = c.getresponse(); first.read()
c.request("GET", "/headers", headers={"Host": "${STRANGER}"}); print(first.status, c.getresponse().status)`;
		await sandbox.files.write("/tmp/other.py", other);
		expect((await sandbox.commands.run("python3 /tmp/other.py")).stdout).toBe("200 421\n");
	});

	test("open nothing, and work where names or a SOCKS proxy do; in forks and for the next server too", async () => {
		const closed = await newSandbox({ network: { denyOut: [ALL], allowOut: [OTHER_SITE], rules } });
		// The first is refused by address; the second passes at an allowed one, whose name's own is not.
		for (const address of [SITE, OTHER_SITE])
			expect(await headersAt(closed, `https://${NAME}`, `--resolve ${NAME}:443:${address}`)).toEqual(REFUSED);
		await closed.updateNetwork({ denyOut: [ALL], allowOut: [NAME], rules });
		expect(await headersAt(closed, `https://${NAME}`)).toMatchObject(INJECTED);
		expect(await headersAt(closed, `https://${nameOf(OTHER_SITE)}`)).toEqual(REFUSED);
		await server.killHard();
		await server.start();
		const [fork] = await closed.fork();
		if (fork === undefined || fork instanceof Error) throw fork ?? new Error("no fork");
		for (const each of [closed, killAtEnd(fork)]) expect(await headersAt(each, `https://${NAME}`)).toMatchObject(INJECTED);
		const egressProxy = { address: `${nameOf(SITE)}:1080`, username: "alice", password: "secret" };
		await closed.updateNetwork({ egressProxy, rules });
		expect(await headersAt(closed, `https://${NAME}`)).toMatchObject(INJECTED);
	});
});

test("a SOCKS proxy carries what leaves the sandbox; its password is never shown", async () => {
	const egressProxy = { address: `${nameOf(SITE)}:1080`, username: "alice", password: "secret" };
	const sandbox = await newSandbox({ network: { egressProxy } });
	expect(await curl(sandbox, `http://${SITE}/`)).toBe(`${SITE} at ${SITE} for ${OTHER_SITE}`);
	expect((await sandbox.getInfo()).network).toEqual({ egressProxy: { address: egressProxy.address, username: "alice" } });
	await sandbox.updateNetwork({ egressProxy: { address: "127.0.0.1:1080" } });
	expect(await curl(sandbox, `http://${SITE}/`)).toEqual(REFUSED);
	await sandbox.updateNetwork({});
	expect(await curl(sandbox, `http://${SITE}/`)).not.toContain(OTHER_SITE);
});

test("an update that is refused changes nothing", async () => {
	const sandbox = await newSandbox({ network: { denyOut: [SITE] } });
	await expect(sandbox.updateNetwork({ allowOut: ["example.com"] })).rejects.toThrow(/0\.0\.0\.0\/0/);
	await expect(sandbox.updateNetwork({ denyOut: ["example.com"] })).rejects.toThrow(/denyOut/);
	const secret = "$" + "{e2b.secrets.key}";
	const rules = { "example.com": [{ transform: { headers: { a: secret } } }] };
	await expect(sandbox.updateNetwork({ rules })).rejects.toThrow(/501: network.rules.*placeholder/);
	expect(await curl(sandbox, `http://${SITE}/`)).toBe("failed 7");
	await sandbox.pause();
	await expect(sandbox.updateNetwork({})).rejects.toThrow(/not found/);
});
