/**
 * The sockets of one Jupyter kernel: requests on shell and control, output on iopub. Unix sockets, so they live on in a
 * snapshot and no other user of the sandbox reaches them. There is no heartbeat: a kernel's end is seen by its process,
 * and a clock that jumps after a restore must not look like a dead kernel.
 */

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Dealer, Subscriber } from "zeromq";
import { abortable } from "../../abortable.ts";
import { randomBytes } from "../../random.ts";
import { KernelGone } from "../kernel.ts";
import { decodeMessage, encodeMessage, type JupyterMessage } from "./messages.ts";

/** Ports of the `ipc` transport are suffixes of the socket's path. */
const PORTS = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };

/** Messages the output socket takes in before the kernel is held back. */
const OUTPUT_BUFFER = 100;

const SUBSCRIPTION_POLL_MS = 20;

/**
 * A reply is sent before its request is reported as done, on another socket. None comes when an interrupt hit the kernel
 * just before or after the cell: ipykernel then reports that it is idle and nothing else.
 */
const REPLY_GRACE_MS = 2_000;

export type RequestChannel = "shell" | "control";

export interface JupyterRequest {
	readonly channel: RequestChannel;
	readonly type: string;
	readonly content: unknown;
	/** Called for each message the request causes on iopub; the next one waits for the returned promise. */
	readonly onOutput?: (message: JupyterMessage) => Promise<void> | undefined;
}

interface PendingRequest {
	readonly onOutput: JupyterRequest["onOutput"];
	readonly resolve: (reply: JupyterMessage) => void;
	readonly reject: (error: Error) => void;
	reply?: JupyterMessage;
	idle: boolean;
}

export class JupyterConnection {
	/** The file that tells the kernel where to listen. */
	readonly file: string;
	readonly #directory: string;
	readonly #session = randomBytes(8).toString("hex");
	readonly #requests: Readonly<Record<RequestChannel, Dealer>>;
	readonly #output = new Subscriber({ receiveHighWaterMark: OUTPUT_BUFFER, linger: 0 });
	readonly #pending = new Map<string, PendingRequest>();
	readonly #sending: Record<RequestChannel, Promise<void>> = { shell: Promise.resolve(), control: Promise.resolve() };
	#requested = 0;
	#subscribed = false;
	#closed = false;

	private constructor(directory: string) {
		this.#directory = directory;
		this.file = join(directory, "connection.json");
		const options = { linger: 0, sendHighWaterMark: 0, receiveHighWaterMark: 0, routingId: this.#session };
		this.#requests = { shell: new Dealer(options), control: new Dealer(options) };
	}

	/** Makes the connection file and the sockets in a new directory below `runtimeDirectory`. */
	static async open(runtimeDirectory: string): Promise<JupyterConnection> {
		const directory = join(runtimeDirectory, randomBytes(4).toString("hex"));
		await mkdir(directory, { recursive: true, mode: 0o700 });
		const connection = new JupyterConnection(directory);
		const ip = join(directory, "s");
		// No key, no signatures: only root enters the directory.
		const file = { transport: "ipc", ip, key: "", signature_scheme: "hmac-sha256", ...PORTS };
		await writeFile(connection.file, JSON.stringify(file), { mode: 0o600 });
		connection.#connect(ip);
		return connection;
	}

	/** Resolves when the kernel answers and its output arrives here. Rejects when `signal` is aborted. */
	async ready(signal: AbortSignal): Promise<void> {
		await abortable(this.request({ channel: "shell", type: "kernel_info_request", content: {} }), signal);
		while (!this.#subscribed) {
			await this.request({ channel: "shell", type: "kernel_info_request", content: {} });
			await sleep(SUBSCRIPTION_POLL_MS, undefined, { signal });
		}
	}

	/**
	 * Sends a request and resolves with its reply; with `onOutput`, when the kernel has also reported that all output of
	 * the request is out. A reply that an interrupt swallowed has the status "aborted". Rejects with KernelGone when the
	 * connection closes first.
	 */
	request(request: JupyterRequest): Promise<JupyterMessage> {
		if (this.#closed) return Promise.reject(new KernelGone());
		this.#requested += 1;
		const id = `${this.#session}-${this.#requested}`;
		const frames = encodeMessage({ id, session: this.#session, type: request.type, content: request.content });
		return new Promise((resolve, reject) => {
			this.#pending.set(id, { onOutput: request.onOutput, resolve, reject, idle: request.onOutput === undefined });
			this.#send(request.channel, frames);
		});
	}

	/** Fails everything pending and removes sockets and directory. */
	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		for (const pending of this.#pending.values()) pending.reject(new KernelGone());
		this.#pending.clear();
		for (const socket of [this.#requests.shell, this.#requests.control, this.#output]) socket.close();
		await rm(this.#directory, { recursive: true, force: true });
	}

	#connect(ip: string): void {
		this.#requests.shell.connect(`ipc://${ip}-${PORTS.shell_port}`);
		this.#requests.control.connect(`ipc://${ip}-${PORTS.control_port}`);
		this.#output.connect(`ipc://${ip}-${PORTS.iopub_port}`);
		this.#output.subscribe();
		void this.#readReplies("shell");
		void this.#readReplies("control");
		void this.#readOutput();
	}

	/** A socket takes one send at a time. */
	#send(channel: RequestChannel, frames: string[]): void {
		this.#sending[channel] = this.#sending[channel].then(() => this.#requests[channel].send(frames)).catch(() => this.close());
	}

	async #readReplies(channel: RequestChannel): Promise<void> {
		for await (const frames of this.#requests[channel]) {
			const message = decodeMessage(frames);
			const pending = message?.parentId === undefined ? undefined : this.#pending.get(message.parentId);
			if (!message || !pending) continue;
			pending.reply = message;
			this.#settle(message.parentId, pending);
		}
	}

	async #readOutput(): Promise<void> {
		for await (const frames of this.#output) {
			this.#subscribed = true;
			const message = decodeMessage(frames);
			const pending = message?.parentId === undefined ? undefined : this.#pending.get(message.parentId);
			if (!message || !pending) continue;
			await pending.onOutput?.(message);
			if (message.type !== "status" || message.content.execution_state !== "idle") continue;
			pending.idle = true;
			this.#settle(message.parentId, pending);
			if (!pending.reply) setTimeout(() => this.#settleWithoutReply(message, pending), REPLY_GRACE_MS);
		}
	}

	#settleWithoutReply(done: JupyterMessage, pending: PendingRequest): void {
		pending.reply ??= { ...done, content: { status: "aborted" } };
		this.#settle(done.parentId, pending);
	}

	#settle(id: string | undefined, pending: PendingRequest): void {
		if (id === undefined || !pending.reply || !pending.idle) return;
		this.#pending.delete(id);
		pending.resolve(pending.reply);
	}
}
