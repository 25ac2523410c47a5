/**
 * Gives the code interpreter's kernels random state of their own. A clone need not wait long for an interpreter that is
 * slow to answer; but until it has, nobody is told the environment, without which the interpreter runs no cell. So no cell
 * draws what a sibling's draws.
 */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { HttpError } from "../errors.ts";
import { log } from "../log.ts";

/** ms that an initialisation waits */
const BUDGET_MS = 1000;

/** ms that who asks for the environment waits */
const PATIENCE_MS = 5000;

export class InterpreterSeed {
	private readonly port: number;
	/** Resolves when the interpreter has the seed, or when there is none. */
	private taken: Promise<void> = Promise.resolve();

	constructor(port: number) {
		this.port = port;
	}

	/** Resolves also when there is no interpreter, and when it does not answer in time: it is asked on. */
	async give(entropy: string): Promise<void> {
		const before = this.taken;
		this.taken = this.send(entropy).finally(() => before);
		await settledWithin(this.taken, BUDGET_MS);
	}

	/** @throws HttpError 503 while the interpreter has not taken the latest seed */
	async requireTaken(): Promise<void> {
		if (await settledWithin(this.taken, PATIENCE_MS)) return;
		throw new HttpError(503, "the code interpreter has not taken its seed yet");
	}

	private send(entropy: string): Promise<void> {
		return new Promise((resolve) => {
			const body = JSON.stringify({ entropy });
			const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
			const call = request({ host: "127.0.0.1", port: this.port, path: "/reseed", method: "POST", headers, agent: false });
			call.once("response", (response) => response.resume());
			// An interpreter that ended, or starts, has kernels that are seeded anew.
			call.once("error", (error) => {
				if (!("code" in error) || error.code !== "ECONNREFUSED") log("reseeding failed", error);
			});
			call.once("close", resolve);
			call.end(body);
		});
	}
}

async function settledWithin(work: Promise<void>, ms: number): Promise<boolean> {
	const cancel = new AbortController();
	const late = sleep(ms, false, { signal: cancel.signal }).catch(() => false);
	const inTime = await Promise.race([work.then(() => true), late]);
	cancel.abort();
	return inTime;
}
