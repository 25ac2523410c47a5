import { request } from "node:http";
import type { Sandbox } from "e2b";
import { describe, expect, test } from "vitest";
import { newSandbox, sdk } from "../support/sandboxes.ts";

/** Tells the request's headers on a port of the guest, over TLS when a certificate is given. */
const SERVER = `
import http.server, json, ssl, sys
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Tell)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
`;

interface Answer {
	readonly status: number;
	readonly body: string;
}

/** One request to a port of the sandbox, by headers as SDKs route them. */
function ask(sandbox: Sandbox, port: number, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
	const { promise, resolve, reject } = Promise.withResolvers<Answer>();
	const outgoing = request(sdk().sandboxUrl, {
		headers: { "e2b-sandbox-id": sandbox.sandboxId, "e2b-sandbox-port": `${port}`, ...headers },
	});
	outgoing.on("error", reject);
	outgoing.on("response", async (response) => {
		const chunks: Buffer[] = [];
		for await (const chunk of response) chunks.push(chunk);
		resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
	});
	outgoing.end();
	return promise;
}

async function serve(sandbox: Sandbox, port: number, certificate = ""): Promise<void> {
	await sandbox.files.write("/tmp/tell.py", SERVER);
	const started = Promise.withResolvers<void>();
	await sandbox.commands.run(`python3 /tmp/tell.py ${port} ${certificate}`, {
		background: true,
		timeoutMs: 0,
		// Ports below 1024 are root's.
		user: "root",
		onStdout: () => started.resolve(),
	});
	await started.promise;
}

describe("a sandbox without public traffic", () => {
	test("is reached with its traffic token alone, which the guest never sees and a pause does not change", async () => {
		const sandbox = await newSandbox("base", { network: { allowPublicTraffic: false } });
		const token = sandbox.trafficAccessToken ?? "";
		expect(token).not.toBe("");
		await serve(sandbox, 8000);
		const start = "Sandbox is secured with traffic access token.";
		expect(await ask(sandbox, 8000)).toEqual({ status: 403, body: expect.stringContaining(`${start} Token header`) });
		expect(await ask(sandbox, 8000, { "e2b-traffic-access-token": "wrong" })).toEqual({
			status: 403,
			body: expect.stringContaining(`${start} Provided token`),
		});
		const answer = await ask(sandbox, 8000, { "E2B-Traffic-Access-Token": token });
		expect(answer.status).toBe(200);
		expect(answer.body).not.toContain(token);

		await sandbox.pause();
		await sandbox.connect();
		expect((await ask(sandbox, 8000, { "e2b-traffic-access-token": token })).status).toBe(200);
		expect((await ask(sandbox, 8000)).status).toBe(403);
	});

	test("stays so when what it may reach is changed", async () => {
		const sandbox = await newSandbox("base", { network: { allowPublicTraffic: false } });
		await serve(sandbox, 8000);
		await sandbox.updateNetwork({ allowInternetAccess: false });
		expect((await ask(sandbox, 8000)).status).toBe(403);
		expect((await sandbox.getInfo()).network?.allowPublicTraffic).toBe(false);
	});
});

test("a masked host reaches the guest with its port, the client's own beside it", async () => {
	const sandbox = await newSandbox("base", { network: { maskRequestHost: "custom-host.example.com:$" + "{PORT}" } });
	await serve(sandbox, 8000);
	const { body } = await ask(sandbox, 8000);
	const { host } = new URL(sdk().sandboxUrl);
	expect(JSON.parse(body)).toMatchObject({ host: "custom-host.example.com:8000", "x-forwarded-host": host });
});

test("a port that speaks TLS is asked over TLS, whatever its certificate", async () => {
	const sandbox = await newSandbox("base", { network: { httpsPorts: [8443] } });
	await sandbox.commands.run(
		"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=nobody -keyout /tmp/tls.pem -out /tmp/crt.pem 2>/dev/null && cat /tmp/crt.pem >> /tmp/tls.pem",
	);
	await serve(sandbox, 8443, "/tmp/tls.pem");
	await serve(sandbox, 8000);
	expect((await ask(sandbox, 8443)).status).toBe(200);
	expect((await ask(sandbox, 8000)).status).toBe(200);
});

test("ports of services and the last of all are ports like any other", async () => {
	const sandbox = await newSandbox();
	for (const port of [1, 22, 80, 65_535]) {
		await serve(sandbox, port);
		expect([port, (await ask(sandbox, port)).status]).toEqual([port, 200]);
	}
});
