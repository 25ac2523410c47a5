import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { withServer } from "./support/bench-server.ts";
import { printReport } from "./support/report.ts";
import { summarize } from "./support/stats.ts";

/**
 * How far from its time a sandbox ends or is paused while many live: from the end that the API tells to the first answer
 * that it is gone (or paused). Asking takes the time of one poll, which is part of the figures. The baseline is the same
 * with a bare timer: how late this machine wakes a process that then asks once.
 */
const SANDBOXES = Number(process.env.OFFSHOOT_BENCH_SANDBOXES ?? 200);
const PAUSED_SHARE = 0.1;
/** Ends lie this far apart: the host is not to be measured at ending many at once. */
const APART_MS = 500;
const LEAD_MS = 5_000;
const POLL_MS = 20;
const CREATED_AT_ONCE = 8;

await withServer(async () => {
	const pausing = Math.round(SANDBOXES * PAUSED_SHARE);
	const boxes = await createAll(SANDBOXES, pausing);
	const first = Date.now() + LEAD_MS;
	const measured = await Promise.all(boxes.map((box, index) => lateness(box, first + index * APART_MS)));
	const [paused, killed] = [measured.slice(0, pausing), measured.slice(pausing)];
	await Promise.all(boxes.slice(0, pausing).map((box) => box.kill()));
	const timers = await Promise.all(boxes.map((_, index) => timerLateness(Date.now() + index * POLL_MS)));
	printReport({
		bench: "timeouts",
		what: `${SANDBOXES} sandboxes alive, one due every ${APART_MS} ms: time from its end until the API tells so`,
		unit: "ms",
		rows: { "a bare timer": summarize(timers), killed: summarize(killed), "paused, or about to be": summarize(paused) },
		notes: { "earliest end, ms from its time": Math.min(...killed, ...paused) },
	});
});

async function createAll(count: number, pausing: number): Promise<Sandbox[]> {
	const boxes: Sandbox[] = [];
	let next = 0;
	const worker = async () => {
		while (next < count) {
			const index = next++;
			const lifecycle = { onTimeout: index < pausing ? ("pause" as const) : ("kill" as const) };
			boxes[index] = await Sandbox.create("base", { timeoutMs: 3_600_000, lifecycle });
		}
	};
	await Promise.all(Array.from({ length: CREATED_AT_ONCE }, worker));
	return boxes;
}

/** ms between the end of the sandbox's time, which is set to about `at`, and the news of it. */
async function lateness(box: Sandbox, at: number): Promise<number> {
	await box.setTimeout(at - Date.now());
	const { endAt } = await box.getInfo();
	await sleep(Math.max(0, endAt.getTime() - Date.now() - 1_000));
	while (await runs(box)) await sleep(POLL_MS);
	return Date.now() - endAt.getTime();
}

async function runs(box: Sandbox): Promise<boolean> {
	try {
		return (await box.getInfo()).state === "running";
	} catch (error) {
		if (error instanceof Error && error.name === "SandboxNotFoundError") return false;
		throw error;
	}
}

async function timerLateness(at: number): Promise<number> {
	await sleep(at - Date.now());
	return Date.now() - at;
}
