/**
 * One lasting conversation with a server that echoes: the answer to a word is its echo. The word "listen" is not sent:
 * its answer is whatever comes by itself.
 */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { type Conversation, converse } from "./conversation.ts";

const TIMEOUT_MS = 1000;
const { host, protocol, localPort } = JSON.parse(process.argv[2] ?? "{}");

if (protocol === "tcp") await openTcp();
else await openUdp();

async function openTcp(): Promise<void> {
	const socket = connect({ host, port: 8080, localPort });
	await new Promise((resolve) => socket.once("data", resolve));
	const conversation = begin((word) => socket.write(word));
	socket.on("data", (data) => conversation.heard(data.toString()));
	socket.on("error", () => {});
	socket.on("close", () => conversation.closed());
}

async function openUdp(): Promise<void> {
	const socket = createSocket("udp4");
	await new Promise<void>((resolve) => socket.bind(localPort ?? 0, resolve));
	const conversation = begin((word) => socket.send(word, 8080, host));
	socket.on("message", (data) => conversation.heard(data.toString()));
}

function begin(send: (word: string) => void): Conversation {
	return converse((word) => {
		if (word !== "listen") send(word);
	}, TIMEOUT_MS);
}
