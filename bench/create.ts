import { Sandbox } from "e2b";
import { newestArtifact, settle, withServer } from "./support/bench-server.ts";
import { openRawRunsc } from "./support/raw-runsc.ts";
import { printReport } from "./support/report.ts";
import { interleave, timed } from "./support/stats.ts";

/** Time from `Sandbox.create()` to its answer, beside a raw `runsc restore` of the same template image. */
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 20);

await withServer(async (server) => {
	const raw = await openRawRunsc(server.dataDir, await newestArtifact(server.dataDir, "template", "base"));
	const live: Sandbox[] = [];
	const rows = await interleave(
		{
			"raw runsc restore": async () => {
				await settle(server);
				return raw.restore();
			},
			"Sandbox.create('base')": async () => {
				await Promise.all(live.splice(0).map((sandbox) => sandbox.kill()));
				await settle(server);
				return timed(async () => live.push(await Sandbox.create("base")));
			},
		},
		ROUNDS,
		3,
	);
	await Promise.all(live.map((sandbox) => sandbox.kill()));
	await raw.close();
	const over = rows["Sandbox.create('base')"].p50 - rows["raw runsc restore"].p50;
	printReport({
		bench: "create",
		what: "a new sandbox from template base, through the SDK",
		unit: "ms",
		rows,
		notes: { "p50 over raw restore, ms": over },
	});
});
