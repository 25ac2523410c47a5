/** A web server of a sandbox: tells what it was asked, gives back what it is sent, or leaves its clients waiting. Argument: its port. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

const LATE_MS = 200;
/** Kind of a frame. Source: RFC 6455 §5.2. */
const CLOSE = 8;

const server = createServer(async (req, res) => {
	const { pathname, searchParams } = new URL(req.url, "http://guest");
	switch (pathname) {
		case "/told": {
			const { method, url, httpVersion, headers } = req;
			return res.end(JSON.stringify({ method, url, httpVersion, headers, body: await text(req) }));
		}
		case "/echo": {
			res.writeHead(200, { trailer: "x-sum" });
			for await (const chunk of req) res.write(chunk);
			res.addTrailers({ "x-sum": req.trailers["x-sum"] ?? "none" });
			return res.end();
		}
		case "/bodied":
			// Node itself would leave it out.
			return req.socket.end("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
		case "/early":
			return res.writeHead(413).end("too much");
		case "/stream":
			return res.writeHead(200).write("first");
		case "/late":
			setTimeout(() => createServer((_req, late) => late.end("late")).listen(Number(searchParams.get("port"))), LATE_MS);
			return res.end();
	}
});
server.on("checkContinue", (req, res) => {
	if (req.headers["x-unwanted"] !== undefined) return res.writeHead(417).end("unwanted");
	res.writeContinue();
	server.emit("request", req, res);
});
server.on("upgrade", (req, socket) => {
	const key = `${req.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
	const accept = createHash("sha1").update(key).digest("base64");
	socket.write(
		`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
	);
	socket.on("error", () => {});
	let bytes = Buffer.alloc(0);
	socket.on("data", (chunk) => {
		bytes = Buffer.concat([bytes, chunk]);
		for (let frame = readFrame(bytes); frame !== undefined; frame = readFrame(bytes)) {
			bytes = bytes.subarray(frame.length);
			socket.write(frame.unmasked);
			if ((frame.unmasked[0] & 0x0f) === CLOSE) socket.end();
		}
	});
});
server.listen(Number(process.argv[2]), () => console.log("ready"));

/** The first frame of a client, whole (RFC 6455 §5.2), and as a server sends it. */
function readFrame(bytes) {
	if (bytes.length < 2) return undefined;
	const short = bytes[1] & 0x7f;
	const start = short === 127 ? 10 : short === 126 ? 4 : 2;
	if (bytes.length < start + 4) return undefined;
	const size = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
	const length = start + 4 + size;
	if (bytes.length < length) return undefined;
	const head = Buffer.from(bytes.subarray(0, start));
	head[1] &= 0x7f;
	const mask = bytes.subarray(start, start + 4);
	const body = Buffer.from(bytes.subarray(start + 4, length), 0).map((byte, index) => byte ^ mask[index % 4]);
	return { length, unmasked: Buffer.concat([head, body]) };
}
