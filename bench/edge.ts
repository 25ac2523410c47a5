import { readFile } from "node:fs/promises";
import { Agent, get, type IncomingMessage, type RequestOptions } from "node:http";
import { Sandbox } from "e2b";
import { WebSocket } from "ws";
import { hostRecord, withServer } from "./support/bench-server.ts";
import { startRelay } from "./support/relay.ts";
import { printReport } from "./support/report.ts";
import { type Summary, summarize } from "./support/stats.ts";

/**
 * What the edge costs, beside a connection from this host straight to the same guest, and beside a relay that only
 * copies bytes: latency and rate of small requests, the rate of a large stream, memory of idle WebSockets. With few cores
 * the rates compare processor time: another process between client and guest takes it from both.
 */
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 20);
const WARM_UP = 2;
const REQUESTS_PER_ROUND = 100;
const CLIENTS = 32;
const RATE_MS = 1_500;
const RATE_ROUNDS = 5;
const STREAM_ROUNDS = 3;
const WEB_SOCKETS = 1_000;
const PORT = 8000;

/** A way to the guest's server. */
type Route = RequestOptions & { readonly agent: Agent };
type Mode = "direct" | "relay" | "edge";
const MODES: readonly Mode[] = ["direct", "relay", "edge"];

await withServer(async (server) => {
	const sandbox = await Sandbox.create("base", { timeoutMs: 1_800_000 });
	await sandbox.files.write("/srv/server.py", await readFile(new URL("support/guest-server.py", import.meta.url), "utf8"));
	await sandbox.commands.run("python3 /srv/server.py", { background: true, timeoutMs: 0 });
	const { instance, pid } = await server.status();
	const { address } = (await hostRecord(instance, sandbox.sandboxId)).slot;
	using relay = await startRelay(address, PORT);
	const routes: Record<Mode, Route> = {
		direct: { host: address, port: PORT, agent: newAgent() },
		relay: { host: "127.0.0.1", port: relay.port, agent: newAgent() },
		edge: { host: "127.0.0.1", port: server.port, headers: { host: sandbox.getHost(PORT) }, agent: newAgent() },
	};
	await request(routes.edge);

	// First, while the server's heap is small: afterwards its growth would drown in what collections give back.
	const memory = await webSocketMemory(pid, `ws://127.0.0.1:${server.port}/socket`, sandbox.getHost(PORT));
	const rows = await latencies(routes);
	const rates = await requestRates(routes);
	const streams = await streamRates(routes);
	await sandbox.kill();
	printReport({
		bench: "edge",
		what: "small requests to a server in a guest, one at a time; notes: rates, streams and WebSockets",
		unit: "µs",
		rows,
		notes: {
			"added at p50, µs": rows.edge.p50 - rows.direct.p50,
			...comparison("requests/s", rates),
			...comparison("1 GiB stream, MiB/s", streams),
			[`KiB of the server per idle WebSocket (${WEB_SOCKETS})`]: memory,
		},
	});
});

function perMode<T>(value: (mode: Mode) => T): Record<Mode, T> {
	return { direct: value("direct"), relay: value("relay"), edge: value("edge") };
}

function comparison(what: string, rates: Record<Mode, number>): Record<string, number> {
	return {
		[`${what}, direct`]: rates.direct,
		[`${what}, relay`]: rates.relay,
		[`${what}, edge`]: rates.edge,
		[`${what}, edge of direct, %`]: (100 * rates.edge) / rates.direct,
	};
}

function newAgent(): Agent {
	return new Agent({ keepAlive: true });
}

/** Bytes of the answer's body. */
function request(route: Route, path = "/"): Promise<number> {
	return new Promise((resolve, reject) => {
		const call = get({ ...route, path }, (response: IncomingMessage) => {
			let bytes = 0;
			response.on("data", (chunk: Buffer) => {
				bytes += chunk.length;
			});
			response.once("end", () => (response.statusCode === 200 ? resolve(bytes) : reject(new Error(`${response.statusCode}`))));
		});
		call.once("error", reject);
	});
}

async function latencies(routes: Record<Mode, Route>): Promise<Record<Mode, Summary>> {
	const samples = perMode((): number[] => []);
	for (let round = 0; round < ROUNDS + WARM_UP; round++) {
		for (const mode of MODES) {
			for (let count = 0; count < REQUESTS_PER_ROUND; count++) {
				const started = performance.now();
				await request(routes[mode]);
				if (round >= WARM_UP) samples[mode].push((performance.now() - started) * 1000);
			}
		}
	}
	return perMode((mode) => summarize(samples[mode]));
}

/** Median of the rounds: requests per second of many clients that each wait for their answer. */
async function requestRates(routes: Record<Mode, Route>): Promise<Record<Mode, number>> {
	return medians(RATE_ROUNDS, async (mode) => {
		const end = performance.now() + RATE_MS;
		let done = 0;
		const client = async () => {
			for (; performance.now() < end; done++) await request(routes[mode]);
		};
		await Promise.all(Array.from({ length: CLIENTS }, client));
		return done / (RATE_MS / 1000);
	});
}

/** Median of the rounds: MiB/s. */
async function streamRates(routes: Record<Mode, Route>): Promise<Record<Mode, number>> {
	return medians(STREAM_ROUNDS, async (mode) => {
		const started = performance.now();
		const bytes = await request(routes[mode], "/stream");
		return bytes / 2 ** 20 / ((performance.now() - started) / 1000);
	});
}

async function medians(rounds: number, measure: (mode: Mode) => Promise<number>): Promise<Record<Mode, number>> {
	const samples = perMode((): number[] => []);
	for (let round = 0; round < rounds + WARM_UP; round++) {
		for (const mode of MODES) {
			const rate = await measure(mode);
			if (round >= WARM_UP) samples[mode].push(rate);
		}
	}
	return perMode((mode) => summarize(samples[mode]).p50);
}

/** KiB by which the server's memory grows per connection. */
async function webSocketMemory(pid: number, url: string, host: string): Promise<number> {
	await settle();
	const before = await residentKiB(pid);
	const sockets: WebSocket[] = [];
	while (sockets.length < WEB_SOCKETS) {
		const batch = Array.from({ length: 50 }, () => new WebSocket(url, { headers: { host }, perMessageDeflate: false }));
		await Promise.all(
			batch.map((socket) => new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))),
		);
		sockets.push(...batch);
	}
	await settle();
	const after = await residentKiB(pid);
	for (const socket of sockets) socket.terminate();
	return (after - before) / WEB_SOCKETS;
}

function settle(): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, 5_000));
}

async function residentKiB(pid: number): Promise<number> {
	const [, size] = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
	return Number(size);
}
