import { once } from "node:events";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import WebSocket from "ws";
import { deleteAtEnd, newSandbox, sdk, until } from "../support/sandboxes.ts";

/** Headers that route a plain request to one port of a sandbox. */
function routing(sandboxId: string, port: number): Record<string, string> {
	return { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": String(port) };
}

/** A server in the guest that answers each WebSocket text frame with itself, and any HTTP request with a slow stream. */
const ECHO = `
import asyncio, base64, hashlib
async def serve(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    key = [l.split(": ")[1] for l in head.split("\\r\\n") if l.lower().startswith("sec-websocket-key")]
    accept = base64.b64encode(hashlib.sha1((key[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    writer.write(f"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: {accept}\\r\\n\\r\\n".encode())
    while True:
        head = await reader.readexactly(2)
        size = head[1] & 127
        mask = await reader.readexactly(4)
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
        writer.write(bytes([head[0], size]) + body)
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8765)
    async with server: await server.serve_forever()
asyncio.run(main())
`;

test("the source's command stream goes on through snapshots without a gap", async () => {
	const source = await newSandbox();
	const lines: number[] = [];
	let buffered = "";
	const command = await source.commands.run("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done", {
		background: true,
		timeoutMs: 0,
		onStdout: (chunk) => {
			const parts = (buffered + chunk).split("\n");
			buffered = parts.pop() ?? "";
			lines.push(...parts.map(Number));
		},
	});
	for (let round = 0; round < 3; round++) {
		deleteAtEnd((await source.createSnapshot()).snapshotId);
		const seen = lines.length;
		await until("more lines after the snapshot", async () => lines.length > seen + 5);
	}
	expect(lines).toEqual(lines.map((_, index) => index + 1));
	await command.kill();
});

test("the source's terminal survives a snapshot", async () => {
	const source = await newSandbox();
	let screen = "";
	const decoder = new TextDecoder();
	const pty = await source.pty.create({
		cols: 80,
		rows: 24,
		timeoutMs: 0,
		onData: (data) => {
			screen += decoder.decode(data, { stream: true });
		},
	});
	await source.pty.sendInput(pty.pid, new TextEncoder().encode("HELD=kept\n"));
	deleteAtEnd((await source.createSnapshot()).snapshotId);
	await source.pty.sendInput(pty.pid, new TextEncoder().encode('echo "value:$HELD"\n'));
	await until("the shell's answer", async () => screen.includes("value:kept"));
	await source.pty.kill(pty.pid);
});

test("a WebSocket of the source survives a snapshot; a clone starts without it", async () => {
	const source = await newSandbox();
	await source.files.write("/home/user/echo.py", ECHO);
	await source.commands.run("python3 /home/user/echo.py", { background: true, timeoutMs: 0 });
	await source.commands.run("while ! ss -Htln sport = :8765 | grep -q .; do sleep 0.05; done");
	const socket = new WebSocket(sdk().sandboxUrl.replace(/^http/, "ws"), { headers: routing(source.sandboxId, 8765) });
	await once(socket, "open");
	const echoed: string[] = [];
	let closed = false;
	socket.on("message", (data) => echoed.push(String(data)));
	socket.on("close", () => {
		closed = true;
	});
	socket.send("before");
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	socket.send("after");
	await until("both echoes", async () => echoed.length === 2);
	expect(echoed).toEqual(["before", "after"]);
	await sleep(300);
	expect(closed).toBe(false);

	const child = await newSandbox(snapshotId);
	const { stdout } = await child.commands.run("ss -Htn state established sport = :8765 | wc -l");
	expect(stdout.trim()).toBe("0");
	socket.terminate();
});

test("a plain TCP connection through the edge survives a snapshot", async () => {
	const source = await newSandbox();
	// An upgraded connection is plain TCP in both directions: the guest echoes whatever bytes arrive.
	const script = `
import socket
s = socket.create_server(("0.0.0.0", 7777))
c, _ = s.accept()
c.recv(65536)
c.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: raw\\r\\nConnection: Upgrade\\r\\n\\r\\n")
while True:
    data = c.recv(65536)
    if not data: break
    c.sendall(data)
`;
	await source.files.write("/home/user/tcp.py", script);
	await source.commands.run("python3 /home/user/tcp.py", { background: true, timeoutMs: 0 });
	await source.commands.run("while ! ss -Htln sport = :7777 | grep -q .; do sleep 0.05; done");
	const outgoing = request(sdk().sandboxUrl, {
		headers: { ...routing(source.sandboxId, 7777), connection: "Upgrade", upgrade: "raw" },
	});
	outgoing.end();
	const [, socket] = await once(outgoing, "upgrade");
	let received = "";
	socket.on("data", (chunk: Buffer) => {
		received += chunk.toString();
	});
	let sent = "";
	let snapshot: Promise<{ snapshotId: string }> | undefined;
	for (let index = 0; index < 50; index++) {
		if (index === 20) snapshot = source.createSnapshot();
		const piece = `${index},`;
		sent += piece;
		socket.write(piece);
		await sleep(10);
	}
	deleteAtEnd((await snapshot)?.snapshotId ?? "");
	await until("every byte to come back in order", async () => received === sent);
	socket.destroy();
});
