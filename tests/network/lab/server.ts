/**
 * On TCP and UDP of the port given: greets with the address of the peer, then echoes. Also answers DNS on port 53, every
 * name with 93.184.216.34, where that port is free.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

const port = Number(process.argv[2]);

const tcp = createServer((socket) => {
	socket.on("error", () => {});
	socket.write(`hello ${socket.remoteAddress}\n`);
	socket.pipe(socket);
});
tcp.listen(port, "0.0.0.0");
const udp = createSocket("udp4");
udp.on("message", (message, peer) => {
	const text = message.toString();
	udp.send(text === "hello" ? `hello ${peer.address}\n` : text, peer.port, peer.address);
	// A talkative server: goes on sending without being asked.
	if (text === "talk") setInterval(() => udp.send("gossip", peer.port, peer.address), 20);
});
udp.bind(port);

function answer(query: Buffer): Buffer {
	const end = query.indexOf(0, 12) + 5;
	const reply = Buffer.concat([
		query.subarray(0, end),
		Buffer.from("c00c00010001000000050004", "hex"),
		Buffer.from([93, 184, 216, 34]),
	]);
	reply.writeUInt16BE(0x8180, 2);
	reply.writeUInt16BE(1, 6);
	reply.writeUInt32BE(0, 8);
	return reply;
}

const dnsUdp = createSocket("udp4");
dnsUdp.on("message", (query, peer) => dnsUdp.send(answer(query), peer.port, peer.address));
dnsUdp.bind(53);
const dnsTcp = createServer((socket) => {
	socket.on("error", () => {});
	socket.on("data", (data) => {
		const reply = answer(data.subarray(2));
		socket.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
	});
});
dnsTcp.listen(53, "0.0.0.0");

await Promise.all([tcp, udp, dnsUdp, dnsTcp].map((listener) => once(listener, "listening")));
process.send?.("ready");
