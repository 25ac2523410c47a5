/**
 * Servers for tests of egress by name, at their usual ports: HTTP (80) and HTTPS (443, with the key and the certificate
 * of the argument) tell which host they were asked for and by whom, or at /headers what else they were told; SOCKS5 (1080) connects from
 * the address given, if any, and asks for user "alice" with password "secret". It sends every request that it carried out.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { connect, createServer, type Socket } from "node:net";

const { key, cert, from } = JSON.parse(process.argv[2] ?? "{}");

const tell: RequestListener = ({ headers, socket, url }, response) => {
	if (url === "/headers") return void response.end(JSON.stringify(headers));
	response.end(`${headers.host} at ${socket.localAddress} for ${socket.remoteAddress}\n`);
};

const listeners = [
	createHttp(tell).listen(80, "0.0.0.0"),
	createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, tell).listen(443, "0.0.0.0"),
	createServer((client) => void socks(client).catch(() => client.destroy())).listen(1080, "0.0.0.0"),
];

async function socks(client: Socket): Promise<void> {
	client.on("error", () => {});
	const bytes = client.iterator({ destroyOnReturn: false });
	const next = async (): Promise<Buffer> => (await bytes.next()).value;
	await next();
	client.write(Buffer.from([5, 2]));
	const login = (await next()).toString("latin1");
	const known = login === "\x01\x05alice\x06secret";
	client.write(Buffer.from([1, known ? 0 : 1]));
	if (!known) return void client.end();
	const request = await next();
	const host = [...request.subarray(4, 8)].join(".");
	const port = request.readUInt16BE(8);
	process.send?.(`${host}:${port}`);
	const upstream = connect({ host, port, localAddress: from });
	upstream.on("error", () => client.destroy());
	await once(upstream, "connect");
	await bytes.return?.();
	client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
	client.pipe(upstream).pipe(client);
}

await Promise.all(listeners.map((listener) => once(listener, "listening")));
process.send?.("ready");
