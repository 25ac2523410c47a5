import { Sandbox } from "@e2b/code-interpreter";
import { newestArtifact, withServer } from "./support/bench-server.ts";
import { openRawRunsc } from "./support/raw-runsc.ts";
import { printReport } from "./support/report.ts";
import { type Summary, summarize } from "./support/stats.ts";

/**
 * Time of `createSnapshot()` and the longest stall that an open stream to the source sees, beside a raw `runsc
 * checkpoint -leave-running` with fsync of the same files.
 */
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 20);
const WARM_UP = 3;
/** The guest sends a byte this often; gaps shorter than that cannot be seen. */
const TICK_MS = 2;

const TICKER = `python3 -u -c '
import sys, time
while True:
    sys.stdout.write(".")
    time.sleep(${TICK_MS / 1000})
'`;

await withServer(async (server) => {
	const source = await Sandbox.create();
	await source.runCode("x = 41");
	await Sandbox.deleteSnapshot((await source.createSnapshot()).snapshotId).catch(() => false);
	const first = await source.createSnapshot();
	const raw = await openRawRunsc(server.dataDir, await newestArtifact(server.dataDir, "snapshot"));
	await raw.restore();

	const samples = { command: [] as number[], fsync: [] as number[], api: [] as number[], stall: [] as number[] };
	for (let round = 0; round < ROUNDS + WARM_UP; round++) {
		const { commandMs, withFsyncMs } = await raw.checkpoint();
		const started = performance.now();
		const { snapshotId } = await source.createSnapshot();
		const apiMs = performance.now() - started;
		await Sandbox.deleteSnapshot(snapshotId);
		if (round < WARM_UP) continue;
		samples.command.push(commandMs);
		samples.fsync.push(withFsyncMs);
		samples.api.push(apiMs);
	}

	let lastTick = performance.now();
	let longest = 0;
	const ticker = await source.commands.run(TICKER, {
		background: true,
		timeoutMs: 0,
		onStdout: () => {
			const now = performance.now();
			longest = Math.max(longest, now - lastTick);
			lastTick = now;
		},
	});
	for (let round = 0; round < ROUNDS + WARM_UP; round++) {
		await new Promise((resolve) => setTimeout(resolve, 100));
		longest = 0;
		const { snapshotId } = await source.createSnapshot();
		await new Promise((resolve) => setTimeout(resolve, 50));
		if (round >= WARM_UP) samples.stall.push(longest);
		await Sandbox.deleteSnapshot(snapshotId);
	}
	await ticker.kill();
	await source.kill();
	await Sandbox.deleteSnapshot(first.snapshotId);
	await raw.close();

	const rows: Record<string, Summary> = {
		"raw checkpoint": summarize(samples.command),
		"raw checkpoint + fsync": summarize(samples.fsync),
		"createSnapshot()": summarize(samples.api),
		"longest stall of a stream": summarize(samples.stall),
	};
	printReport({
		bench: "snapshot",
		what: "a snapshot of an idle code-interpreter sandbox, through the SDK",
		unit: "ms",
		rows,
		notes: {
			"createSnapshot p50 over raw checkpoint + fsync, ms": summarize(samples.api).p50 - summarize(samples.fsync).p50,
			"stall p50 over raw checkpoint, ms": summarize(samples.stall).p50 - summarize(samples.command).p50,
		},
	});
});
