import { readFile } from "node:fs/promises";
import { Sandbox } from "e2b";
import { withServer } from "./support/bench-server.ts";
import { printReport } from "./support/report.ts";
import { interleave, timed } from "./support/stats.ts";

/**
 * Time of `commands.run('true')` through the SDK, which always asks for a login shell, beside the same shell and less
 * spawned by a small program inside the same guest.
 */
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 100);
const WARM_UP = 10;

const SDK = "commands.run('true')";
const LOGIN_SHELL = "/bin/bash -l -c true";
const BARE = [LOGIN_SHELL, "/bin/bash -c true", "/bin/true"] as const;

await withServer(async () => {
	const sandbox = await Sandbox.create("base", { timeoutMs: 1_800_000 });
	const spawn = await openSpawner(sandbox);
	const bare = BARE.map((command) => [`in the guest: ${command}`, () => spawn(command)] as const);
	const modes: Record<string, () => Promise<number>> = {
		[SDK]: () => timed(() => sandbox.commands.run("true")),
		...Object.fromEntries(bare),
	};
	const rows = await interleave(modes, ROUNDS, WARM_UP);
	await sandbox.kill();
	const p50 = (name: string) => rows[name]?.p50 ?? Number.NaN;
	printReport({
		bench: "exec",
		what: "a command through the SDK, beside bare spawns in the same guest",
		unit: "ms",
		rows,
		notes: { "p50 over the bare login shell, ms": p50(SDK) - p50(`in the guest: ${LOGIN_SHELL}`) },
	});
});

/** Starts the program that spawns others; the function it gives resolves to the ms that took, as measured in the guest. */
async function openSpawner(sandbox: Sandbox): Promise<(command: string) => Promise<number>> {
	await sandbox.files.write("/tmp/spawn.c", await readFile(new URL("support/guest-spawn.c", import.meta.url), "utf8"));
	await sandbox.commands.run("gcc -O2 -static -o /tmp/spawn /tmp/spawn.c");
	let answer: ((line: string) => void) | undefined;
	const program = await sandbox.commands.run("/tmp/spawn", {
		background: true,
		stdin: true,
		timeoutMs: 0,
		onStdout: (line) => answer?.(line),
	});
	return async (command) => {
		const line = new Promise<string>((resolve) => {
			answer = resolve;
		});
		await sandbox.commands.sendStdin(program.pid, `${command}\n`);
		return Number(await line) / 1e6;
	};
}
