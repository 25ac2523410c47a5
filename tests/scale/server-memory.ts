/** What a server process holds, measured from outside: through Node's inspector, which a signal opens. */
import { readdir } from "node:fs/promises";
import { freePort } from "../support/server.ts";

export interface MemorySample {
	/** Bytes in use after a garbage collection. */
	readonly heap: number;
	/** Bytes of buffers and other memory outside the heap. */
	readonly external: number;
	/** Bytes of the process. */
	readonly resident: number;
	readonly openFiles: number;
}

export interface MemoryProbe {
	/** Settings that the server must be started with. */
	readonly env: Readonly<Record<string, string>>;
	/** Collects garbage first. */
	sample(pid: number): Promise<MemorySample>;
}

const OPEN_TIMEOUT_MS = 10_000;

export async function memoryProbe(): Promise<MemoryProbe> {
	const port = await freePort();
	const options = [process.env.NODE_OPTIONS, `--inspect-port=127.0.0.1:${port}`].filter(Boolean).join(" ");
	return { env: { NODE_OPTIONS: options }, sample: (pid) => sample(pid, port) };
}

async function sample(pid: number, port: number): Promise<MemorySample> {
	process.kill(pid, "SIGUSR1");
	const socket = new WebSocket(await inspectorUrl(port));
	try {
		await new Promise((resolve, reject) => {
			socket.addEventListener("open", resolve, { once: true });
			socket.addEventListener("error", reject, { once: true });
		});
		await call(socket, "HeapProfiler.collectGarbage", {});
		const { result } = await call(socket, "Runtime.evaluate", {
			expression: "JSON.stringify(process.memoryUsage())",
			returnByValue: true,
		});
		const usage = JSON.parse(result.value);
		const openFiles = (await readdir(`/proc/${pid}/fd`)).length;
		return { heap: usage.heapUsed, external: usage.external, resident: usage.rss, openFiles };
	} finally {
		socket.close();
	}
}

/** The inspector listens a moment after the signal. */
async function inspectorUrl(port: number): Promise<string> {
	const end = Date.now() + OPEN_TIMEOUT_MS;
	for (;;) {
		try {
			const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as { webSocketDebuggerUrl: string }[];
			if (target !== undefined) return target.webSocketDebuggerUrl;
		} catch (error) {
			if (Date.now() > end) throw error;
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
function call(socket: WebSocket, method: string, params: object): Promise<any> {
	const { promise, resolve, reject } = Promise.withResolvers();
	const onMessage = ({ data }: MessageEvent) => {
		const message = JSON.parse(String(data));
		if (message.id !== 1) return;
		socket.removeEventListener("message", onMessage);
		if (message.error !== undefined) reject(new Error(`${method}: ${message.error.message}`));
		else resolve(message.result);
	};
	socket.addEventListener("message", onMessage);
	socket.addEventListener("close", () => reject(new Error(`${method}: the inspector closed`)), { once: true });
	socket.send(JSON.stringify({ id: 1, method, params }));
	return promise;
}
