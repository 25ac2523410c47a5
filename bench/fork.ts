import { Sandbox } from "@e2b/code-interpreter";
import { newestArtifact, withServer } from "./support/bench-server.ts";
import { openRawRunsc } from "./support/raw-runsc.ts";
import { printReport } from "./support/report.ts";
import { summarize, timed } from "./support/stats.ts";

/** Time of `fork` into 1, 5 and 20 running copies, beside one raw `runsc checkpoint` and as many raw restores in turn. */
const COUNTS = [1, 5, 20];
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 5);
const WARM_UP = 1;
const ANSWER = "print(x + 1)";

await withServer(async (server) => {
	const source = await Sandbox.create();
	await source.runCode("x = 41");
	const { snapshotId } = await source.createSnapshot();
	const raw = await openRawRunsc(server.dataDir, await newestArtifact(server.dataDir, "snapshot"));
	const samples = new Map<string, number[]>();
	const note = (name: string, ms: number) => samples.set(name, [...(samples.get(name) ?? []), ms]);

	for (let round = 0; round < ROUNDS + WARM_UP; round++) {
		const measured = round >= WARM_UP;
		for (const count of COUNTS) {
			const forked = await fork(source, count);
			const rawMs = await rawFork(count);
			if (!measured) continue;
			note(`fork ${count}`, forked.forkMs);
			note(`fork ${count} until every copy ran a cell`, forked.answeredMs);
			note(`raw checkpoint + ${count} restores`, rawMs);
		}
	}
	await source.kill();
	await Sandbox.deleteSnapshot(snapshotId);
	await raw.close();
	const rows = Object.fromEntries([...samples].map(([name, values]) => [name, summarize(values)]));
	const notes = Object.fromEntries(
		COUNTS.map((count) => [`ms per copy of ${count}, p50`, (rows[`fork ${count}`]?.p50 ?? Number.NaN) / count]),
	);
	printReport({
		bench: "fork",
		what: "running copies of an idle code-interpreter sandbox, through the SDK; the raw restores follow one another",
		unit: "ms",
		rows,
		notes,
	});

	async function rawFork(count: number): Promise<number> {
		// A checkpoint needs a container; its restore is not part of the figure.
		await raw.restore();
		let total = (await raw.checkpoint()).withFsyncMs;
		for (let copy = 0; copy < count; copy++) total += await raw.restore();
		return total;
	}
});

async function fork(source: Sandbox, count: number): Promise<{ readonly forkMs: number; readonly answeredMs: number }> {
	let copies: Sandbox[] = [];
	const started = performance.now();
	const forkMs = await timed(async () => {
		const results = await source.fork({ count });
		copies = results.map((result) => {
			if (result instanceof Error) throw result;
			return result;
		});
	});
	await Promise.all(
		copies.map(async (copy) => {
			const { logs } = await copy.runCode(ANSWER);
			if (logs.stdout.join("") !== "42\n") throw new Error(`a copy printed ${logs.stdout.join("")}`);
		}),
	);
	const answeredMs = performance.now() - started;
	await Promise.all(copies.map((copy) => copy.kill()));
	return { forkMs, answeredMs };
}
