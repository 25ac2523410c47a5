import { type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import {
	AGENT_PORT,
	type AgentInit,
	CONTROL_PORT,
	CONTROL_SIGNATURE_HEADER,
	INTERPRETER_PORT,
	OffshootError,
} from "../protocol/index.ts";
import { signControl } from "./control-key.ts";

/**
 * The host's side of the guest agent's control port. Each call opens a connection of its own: one that was open while
 * a snapshot is taken would be part of every clone.
 */
export interface AgentClient {
	/**
	 * Sends the initialisation, once; waits for the agent to accept connections first.
	 * @param limitMs for all of it, the hooks in the guest included
	 * @throws OffshootError timed_out or conflict when the agent does not take it: what it was restored from is to blame
	 */
	init(address: string, init: AgentInit, controlKey: string, signal: AbortSignal, limitMs?: number): Promise<void>;
	/** Resolves when the agent's control port answers. */
	awaitAgent(address: string, signal: AbortSignal): Promise<void>;
	/** Resolves when the code interpreter reports that its default contexts are up. */
	awaitInterpreter(address: string, signal: AbortSignal): Promise<void>;
	/** Lets the agent give back memory that it does not need: what it holds is in every image. */
	compact(address: string, signal: AbortSignal): Promise<void>;
	/** True when the agent answers its health check, which one that is being started again does within seconds. */
	becomesHealthy(address: string, signal: AbortSignal): Promise<boolean>;
	/** Body of the agent's answer about what the sandbox uses. */
	metrics(address: string, accessToken: string | undefined, signal: AbortSignal): Promise<string>;
}

/** A SYN that arrives before the guest's network is up is lost and would be repeated after a second only. */
const CONNECT_TIMEOUT_MS = 100;
const CONNECT_PAUSE_MS = 5;
const POLL_MS = 50;
/** Twice what one hook may take, and far more than a restored agent needs on a slow host. */
const INIT_LIMIT_MS = 20_000;
/** A guest that is only busy answers within this. */
const HEALTH_LIMIT_MS = 5_000;

export const agentClient: AgentClient = {
	async init(address, init, controlKey, signal, limitMs = INIT_LIMIT_MS) {
		const body = Buffer.from(JSON.stringify(init));
		const headers = {
			"content-type": "application/json",
			"content-length": body.length,
			[CONTROL_SIGNATURE_HEADER]: signControl(controlKey, body),
		};
		const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
		const target = { address, port: CONTROL_PORT, method: "POST", path: "/init", headers, body };
		const answer = await callWhenUp(target, limit).catch((error: unknown) => {
			signal.throwIfAborted();
			throw limit.aborted ? silentAgent(limitMs) : brokenAgent("cut the connection", error);
		});
		if (answer.status !== 204) throw brokenAgent(`answered ${answer.status}`, new Error(answer.text.slice(0, 300)));
	},

	async awaitAgent(address, signal) {
		await callWhenUp({ address, port: CONTROL_PORT, method: "GET", path: "/health" }, signal);
	},

	async awaitInterpreter(address, signal) {
		for (;;) {
			const answer = await callWhenUp({ address, port: INTERPRETER_PORT, method: "GET", path: "/health" }, signal);
			if (answer.status === 200) return;
			await sleep(POLL_MS, undefined, { signal });
		}
	},

	async compact(address, signal) {
		await callWhenUp({ address, port: CONTROL_PORT, method: "POST", path: "/compact" }, signal);
	},

	async becomesHealthy(address, signal) {
		const limit = AbortSignal.any([signal, AbortSignal.timeout(HEALTH_LIMIT_MS)]);
		while (!limit.aborted) {
			const answer = await call({ address, port: AGENT_PORT, method: "GET", path: "/health" }, limit).catch(() => undefined);
			if (answer?.status === 204) return true;
			await sleep(POLL_MS, undefined, { signal: limit }).catch(() => undefined);
		}
		signal.throwIfAborted();
		return false;
	},

	async metrics(address, accessToken, signal) {
		const headers = accessToken === undefined ? {} : { "x-access-token": accessToken };
		const answer = await call({ address, port: AGENT_PORT, method: "GET", path: "/metrics", headers }, signal);
		if (answer.status !== 200) throw new Error(`the guest agent answered ${answer.status}`);
		return answer.text;
	},
};

const AGENT_ERROR_CODE = "sandbox_guest_agent_unresponsive";
const START_FROM_ANOTHER =
	"Most likely the agent was stopped or replaced in the sandbox that was captured: start from another snapshot.";

function silentAgent(limitMs: number): OffshootError {
	const text = `The sandbox was not started: its guest agent did not take its initialisation within ${limitMs / 1000} s. ${START_FROM_ANOTHER}`;
	return new OffshootError("timed_out", text, { errorCode: AGENT_ERROR_CODE, shouldRetry: false });
}

/** @param cause may hold the guest's own words: for the server's log */
function brokenAgent(what: string, cause: unknown): OffshootError {
	const text = `The sandbox was not started: its guest agent ${what} when it was initialised. ${START_FROM_ANOTHER}`;
	return new OffshootError("conflict", text, { errorCode: AGENT_ERROR_CODE, shouldRetry: false, cause });
}

interface Call {
	readonly address: string;
	readonly port: number;
	readonly method: string;
	readonly path: string;
	readonly headers?: Readonly<Record<string, string | number>>;
	readonly body?: Buffer;
}

interface Answer {
	readonly status: number;
	readonly text: string;
}

/** The connection was never made, so nothing was sent and the call may be repeated. */
class NotConnectedError extends Error {}

async function callWhenUp(target: Call, signal: AbortSignal): Promise<Answer> {
	for (;;) {
		try {
			return await call(target, signal);
		} catch (error) {
			signal.throwIfAborted();
			if (!(error instanceof NotConnectedError)) throw error;
			await sleep(CONNECT_PAUSE_MS, undefined, { signal });
		}
	}
}

function call(target: Call, signal: AbortSignal): Promise<Answer> {
	const { promise, resolve, reject } = Promise.withResolvers<Answer>();
	let connected = false;
	const outgoing = request({
		host: target.address,
		port: target.port,
		method: target.method,
		path: target.path,
		headers: { ...target.headers, connection: "close" },
		agent: false,
		signal,
	});
	outgoing.on("socket", (socket) => {
		const timer = setTimeout(() => outgoing.destroy(new NotConnectedError("no connection")), CONNECT_TIMEOUT_MS);
		socket.once("close", () => clearTimeout(timer));
		socket.once("connect", () => {
			connected = true;
			clearTimeout(timer);
		});
	});
	outgoing.on("error", (error) =>
		reject(connected ? withoutPacket(error) : new NotConnectedError(error.message, { cause: error })),
	);
	// Nobody asked for one. Node tells of it in no other way, and an agent that is a guest's program may say anything.
	outgoing.on("upgrade", (_response, socket) => {
		socket.destroy();
		reject(new Error("the guest agent answered with an upgrade that nobody asked for"));
	});
	outgoing.on("response", (response) => readAnswer(response).then(resolve, reject));
	outgoing.end(target.body);
	return promise;
}

/** Node keeps what it could not parse with its error, where it would go on into the log: as long as the guest likes. */
function withoutPacket(error: Error): Error {
	return "rawPacket" in error ? new Error(error.message) : error;
}

/** An agent is a guest's program: what it answers may be anything, of any length. */
const MAX_ANSWER_BYTES = 64 * 1024;

async function readAnswer(response: IncomingMessage): Promise<Answer> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of response) {
		chunks.push(chunk);
		length += chunk.length;
		// Leaving the loop ends the connection.
		if (length > MAX_ANSWER_BYTES) throw new Error(`the guest agent's answer is longer than ${MAX_ANSWER_BYTES} bytes`);
	}
	return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}
