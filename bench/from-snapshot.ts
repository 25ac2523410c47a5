import { Sandbox } from "@e2b/code-interpreter";
import { newestArtifact, settle, withServer } from "./support/bench-server.ts";
import { openRawRunsc } from "./support/raw-runsc.ts";
import { printReport } from "./support/report.ts";
import { interleave, timed } from "./support/stats.ts";

/** Time of `Sandbox.create(snapshotId)`, beside a raw `runsc restore` of the very same image. */
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 20);

await withServer(async (server) => {
	const source = await Sandbox.create();
	await source.runCode("x = 41");
	const { snapshotId } = await source.createSnapshot();
	const raw = await openRawRunsc(server.dataDir, await newestArtifact(server.dataDir, "snapshot"));
	const live: Sandbox[] = [];
	const rows = await interleave(
		{
			"raw runsc restore": async () => {
				await settle(server);
				return raw.restore();
			},
			"create from snapshot": async () => {
				await Promise.all(live.splice(0).map((sandbox) => sandbox.kill()));
				await settle(server);
				return timed(async () => live.push(await Sandbox.create(snapshotId)));
			},
		},
		ROUNDS,
		3,
	);
	const [last] = live;
	const answer = (await last?.runCode("x + 1"))?.text;
	if (answer !== "42") throw new Error(`the last clone answered ${answer}`);
	await Promise.all([source, ...live].map((sandbox) => sandbox.kill()));
	await raw.close();
	printReport({
		bench: "from-snapshot",
		what: "a new sandbox from a snapshot of an idle code-interpreter sandbox, through the SDK",
		unit: "ms",
		rows,
		notes: { "p50 over raw restore, ms": rows["create from snapshot"].p50 - rows["raw runsc restore"].p50 },
	});
});
