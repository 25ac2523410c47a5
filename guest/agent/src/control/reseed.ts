/** Gives the code interpreter's kernels random state of their own. */
import { request } from "node:http";
import { INTERPRETER_NOTICE_PORT } from "../../../../src/protocol/index.ts";
import { log } from "../log.ts";

const BUDGET_MS = 1000;

/** Resolves also when there is no interpreter, and when it does not answer in time. */
export function reseedInterpreter(entropy: string): Promise<void> {
	return new Promise((resolve) => {
		const body = JSON.stringify({ entropy });
		const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
		const call = request({
			host: "127.0.0.1",
			port: INTERPRETER_NOTICE_PORT,
			path: "/reseed",
			method: "POST",
			headers,
			agent: false,
		});
		const timer = setTimeout(() => call.destroy(new Error("no answer in time")), BUDGET_MS);
		call.once("response", (response) => response.resume());
		call.once("error", (error) => {
			if (!("code" in error) || error.code !== "ECONNREFUSED") log("reseeding failed", error);
		});
		call.once("close", () => {
			clearTimeout(timer);
			resolve();
		});
		call.end(body);
	});
}
