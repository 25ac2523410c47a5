/**
 * On TCP and UDP of the port given: greets with the address of the peer, then echoes. With a second argument "dns" it also
 * answers DNS: names that begin with an address written with dashes (`10-20-30-40.example.com`) with that one, every other
 * name with 93.184.216.34.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";

const port = Number(process.argv[2]);

const tcp = createServer((socket) => {
	socket.on("error", () => {});
	socket.write(`hello ${socket.remoteAddress}\n`);
	socket.pipe(socket);
});
tcp.listen(port, "0.0.0.0");
// One socket for each address: an answer must come from the address that was asked.
const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter(({ family }) => family === "IPv4"));
const udp = addresses.map(({ address }) => {
	const socket = createSocket("udp4");
	socket.on("message", (message, peer) => {
		const text = message.toString();
		socket.send(text === "hello" ? `hello ${peer.address}\n` : text, peer.port, peer.address);
		// A talkative server: goes on sending without being asked.
		if (text === "talk") setInterval(() => socket.send("gossip", peer.port, peer.address), 20);
	});
	socket.bind(port, address);
	return socket;
});

function answer(query: Buffer): Buffer {
	const end = query.indexOf(0, 12) + 5;
	const reply = Buffer.concat([
		query.subarray(0, end),
		Buffer.from("c00c00010001000000050004", "hex"),
		Buffer.from(addressOf(query.subarray(13, 13 + (query[12] ?? 0)).toString())),
	]);
	reply.writeUInt16BE(0x8180, 2);
	reply.writeUInt16BE(1, 6);
	reply.writeUInt32BE(0, 8);
	return reply;
}

function addressOf(label: string): number[] {
	const bytes = label.split("-").map(Number);
	return bytes.length === 4 && bytes.every((byte) => byte <= 255) ? bytes : [93, 184, 216, 34];
}

function startDns() {
	const datagrams = createSocket("udp4");
	datagrams.on("message", (query, peer) => datagrams.send(answer(query), peer.port, peer.address));
	datagrams.bind(53);
	const streams = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (data: Buffer) => {
			const reply = answer(data.subarray(2));
			socket.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
		});
	});
	streams.listen(53, "0.0.0.0");
	return [datagrams, streams];
}

const dns = process.argv[3] === "dns" ? startDns() : [];
await Promise.all([tcp, ...udp, ...dns].map((listener) => once(listener, "listening")));
process.send?.("ready");
