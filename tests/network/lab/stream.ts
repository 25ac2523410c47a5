/**
 * One lasting conversation with a server that echoes. Each IPC message is said to it; the answer is the echo, "closed", or
 * "timeout". The word "listen" is not sent: its answer is whatever comes by itself.
 */
import { createSocket } from "node:dgram";
import { connect } from "node:net";

const TIMEOUT_MS = 1000;
const { host, protocol, localPort } = JSON.parse(process.argv[2] ?? "{}");

let heard: (text: string) => void = () => {};
let closed = false;
const send = protocol === "tcp" ? await openTcp() : await openUdp();

async function openTcp(): Promise<(text: string) => void> {
	const socket = connect({ host, port: 8080, localPort });
	await new Promise((resolve) => socket.once("data", resolve));
	socket.on("data", (data) => heard(data.toString()));
	socket.on("error", () => {});
	socket.on("close", () => {
		closed = true;
		heard("closed");
	});
	return (text) => socket.write(text);
}

async function openUdp(): Promise<(text: string) => void> {
	const socket = createSocket("udp4");
	socket.on("message", (data) => heard(data.toString()));
	await new Promise<void>((resolve) => socket.bind(localPort ?? 0, resolve));
	return (text) => socket.send(text, 8080, host);
}

process.on("message", (word: string) => {
	if (closed) return process.send?.("closed");
	const timer = setTimeout(() => heard("timeout"), TIMEOUT_MS);
	heard = (text) => {
		clearTimeout(timer);
		heard = () => {};
		process.send?.(text);
	};
	if (word !== "listen") send(word);
});
process.send?.("open");
