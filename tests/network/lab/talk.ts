/** One HTTP connection that is kept: a word is a method, the answer what the server said. */
import { connect } from "node:net";
import { converse } from "./conversation.ts";

const TIMEOUT_MS = 2000;
const { host, name } = JSON.parse(process.argv[2] ?? "{}");

const socket = connect({ host, port: 80 });
await new Promise((resolve) => socket.once("connect", resolve));
const conversation = converse((method) => socket.write(`${method} / HTTP/1.1\r\nHost: ${name}\r\n\r\n`), TIMEOUT_MS);
socket.on("data", (data) => conversation.heard(data.toString()));
socket.on("error", () => {});
socket.on("close", () => conversation.closed());
