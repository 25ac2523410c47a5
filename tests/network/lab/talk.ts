/** One HTTP connection that is kept. Each IPC message is a method; the answer is what the server said, "closed" or "timeout". */
import { connect } from "node:net";

const TIMEOUT_MS = 2000;
const { host, name } = JSON.parse(process.argv[2] ?? "{}");

let heard: (text: string) => void = () => {};
let closed = false;
const socket = connect({ host, port: 80 });
await new Promise((resolve) => socket.once("connect", resolve));
socket.on("data", (data) => heard(data.toString()));
socket.on("error", () => {});
socket.on("close", () => {
	closed = true;
	heard("closed");
});

process.on("message", (method: string) => {
	if (closed) return process.send?.("closed");
	const timer = setTimeout(() => heard("timeout"), TIMEOUT_MS);
	heard = (text) => {
		clearTimeout(timer);
		heard = () => {};
		process.send?.(text);
	};
	socket.write(`${method} / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
});
process.send?.("open");
