import { once } from "node:events";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { expect, inject, onTestFinished, test } from "vitest";
import { slotAddress } from "../support/host.ts";
import { newSandbox, until } from "../support/sandboxes.ts";

/** What a hostile root inside a sandbox tries. */
const AS_ROOT = { user: "root" } as const;

const NEIGHBOUR_PORT = 8000;
/** The sandbox asks names here, and nothing else. */
const GATEWAY = "169.254.0.22";

/** Greets whoever connects, on every address of this machine. Resolves to its port. */
async function greeter(): Promise<number> {
	const server = createServer((socket) => socket.on("error", () => undefined).end("hello"));
	onTestFinished(() => void server.close());
	server.listen(0, "0.0.0.0");
	await once(server, "listening");
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("no port");
	return address.port;
}

async function greetsThisMachine(host: string, port: number): Promise<boolean> {
	const socket = connect({ host, port, timeout: 5_000 });
	try {
		await once(socket, "connect");
		return true;
	} finally {
		socket.destroy();
	}
}

/** Prints `address:port` for whatever takes a connection from inside. */
const SCAN = `
import asyncio, sys
hosts, ports = sys.argv[1].split(","), [*map(int, sys.argv[2].split(","))]
room = asyncio.Semaphore(800)
async def knock(host, port):
    async with room:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1)
        except (OSError, asyncio.TimeoutError):
            return
        print(f"{host}:{port}")
        writer.close()
async def main():
    await asyncio.gather(*(knock(host, port) for port in ports for host in hosts))
asyncio.run(main())
`;

test("root in a sandbox finds no open port of the host, of its neighbours or of private and metadata addresses", async () => {
	const [sandbox, neighbour] = await Promise.all([newSandbox(), newSandbox()]);
	await neighbour.commands.run(`python3 -m http.server ${NEIGHBOUR_PORT} --bind 0.0.0.0`, { background: true, timeoutMs: 0 });
	const neighbourAddress = await slotAddress(inject("server").dataDir, neighbour.sandboxId);
	const hostAddresses = Object.values(networkInterfaces())
		.flatMap((list) => list ?? [])
		// Every slot's link has the gateway's address.
		.filter((item) => item.family === "IPv4" && !item.internal && item.address !== GATEWAY)
		.map((item) => item.address);
	const [hostPort, serverPort] = [await greeter(), Number(new URL(inject("server").url).port)];
	// What is looked for is there: the host itself reaches it.
	await until("the neighbour's server", () => greetsThisMachine(neighbourAddress, NEIGHBOUR_PORT).catch(() => false));
	for (const address of hostAddresses) expect(await greetsThisMachine(address, hostPort)).toBe(true);

	const ports = [...Array.from({ length: 1024 }, (_, index) => index + 1), hostPort, serverPort, NEIGHBOUR_PORT, 49_982, 49_983];
	await sandbox.files.write("/tmp/scan.py", SCAN);
	const scan = async (addresses: readonly string[], among: readonly number[]) => {
		const command = `python3 /tmp/scan.py ${addresses.join(",")} ${among.join(",")}`;
		const { stdout } = await sandbox.commands.run(command, { ...AS_ROOT, timeoutMs: 120_000 });
		return stdout.split("\n").filter((found) => found !== "");
	};
	expect(await scan(["127.0.0.1"], ports)).toContain("127.0.0.1:49983");
	expect(await scan([neighbourAddress, GATEWAY, ...hostAddresses], ports)).toEqual([`${GATEWAY}:53`]);
	const never = ["169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1"];
	expect(await scan(never, [22, 53, 80, 443])).toEqual([]);
});

test("no loopback trick lets root speak to the control port as the host", async () => {
	const sandbox = await newSandbox();
	const script = `
ip addr add 169.254.0.22/32 dev lo 2>/dev/null
for target in 127.0.0.1 169.254.0.21 169.254.0.22; do
  for path in /init //init /%69nit /INIT /init/ '/init?x=1'; do
    curl -s -m 2 -o /dev/null -w '%{http_code} ' --interface 169.254.0.22 -X POST "http://$target:49982$path" -H 'content-type: application/json' -d '{"accessToken":"stolen","sandboxId":"x"}'
    curl -s -m 2 -o /dev/null -w '%{http_code} ' --http2-prior-knowledge -X POST "http://$target:49982$path" -d '{}'
    curl -s -m 2 -o /dev/null -w '%{http_code} ' -X POST "http://$target:49983$path" -d '{"accessToken":"stolen"}'
  done
done
true`;
	const { stdout } = await sandbox.commands.run(script, { ...AS_ROOT, timeoutMs: 120_000 });
	const codes = stdout.trim().split(/\s+/);
	expect(codes.length).toBeGreaterThan(30);
	expect(codes.filter((code) => code.startsWith("2"))).toEqual([]);
	expect((await sandbox.commands.run("echo still mine")).stdout).toBe("still mine\n");
});

test("the first control key is in no process's environment", async () => {
	const sandbox = await newSandbox();
	const { stdout } = await sandbox.commands.run("env; sudo env", {});
	expect(stdout).not.toContain("OFFSHOOT_CONTROL_KEY");
});
