/** One sandbox that takes whatever it can get, beside nine that work as always. */
import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { campaignLength } from "../support/random.ts";
import { rest } from "../support/rest.ts";
import { killAtEnd, newSandbox, sdk, until } from "../support/sandboxes.ts";
import { CPU_BURNER, DISK_FILLER, FORK_BOMB, MEMORY_HOG } from "./hogs.ts";

const NEIGHBOURS = 9;
const COMMAND_TIMEOUT_MS = 60_000;

/** Each keeps its id in memory and on disk. */
const neighbours: Sandbox[] = [];
beforeAll(async () => {
	while (neighbours.length < NEIGHBOURS) neighbours.push(await Sandbox.create("base", { ...sdk(), timeoutMs: 3_600_000 }));
	await Promise.all(neighbours.map(({ commands, sandboxId }) => commands.run(`echo ${sandboxId} | tee mine > /dev/shm/mine`)));
});
afterAll(async () => {
	await Promise.all(neighbours.map((neighbour) => neighbour.kill()));
});

/** ms of one command in each neighbour, `rounds` times, in order of length. */
async function latencies(rounds: number): Promise<number[]> {
	const found: number[] = [];
	for (let round = 0; round < rounds; round++) {
		for (const { commands, sandboxId } of neighbours) {
			const started = performance.now();
			expect((await commands.run("cat mine /dev/shm/mine")).stdout).toBe(`${sandboxId}\n${sandboxId}\n`);
			found.push(performance.now() - started);
		}
	}
	return found.sort((a, b) => a - b);
}

function figures(what: string, sorted: readonly number[]): string {
	const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(0);
	return `${what}: a command in a neighbour takes ${at(0.5)} ms p50, ${at(0.9)} ms p90, ${at(1)} ms at most`;
}

/** How a command ended that has no end of its own. */
function ending(sandbox: Sandbox, command: string): Promise<string> {
	return sandbox.commands.run(command, { timeoutMs: COMMAND_TIMEOUT_MS }).then(
		() => "it succeeded",
		(error: unknown) => String(error),
	);
}

async function answers(sandbox: Sandbox): Promise<boolean> {
	return sandbox.commands.run("echo alive", { timeoutMs: 30_000 }).then(
		({ stdout }) => stdout === "alive\n",
		() => false,
	);
}

test("beside a burner of CPU, a memory hog, a disk filler, a fork bomb and all of them in one, nine sandboxes keep working", async () => {
	const rounds = campaignLength(2, 10);
	const report = [figures("alone", await latencies(rounds))];
	const again = (command: string) => `while :; do ${command}; done`;
	for (const [what, commands] of [
		["a CPU burner", [CPU_BURNER]],
		["a memory hog", [again(MEMORY_HOG)]],
		["a disk filler", [DISK_FILLER]],
		["a fork bomb", [FORK_BOMB]],
		["all four in one", [CPU_BURNER, again(MEMORY_HOG), DISK_FILLER, FORK_BOMB]],
	] as const) {
		const wild = killAtEnd(await Sandbox.create("base", sdk()));
		const endings = commands.map((command) => ending(wild, command));
		report.push(figures(`beside ${what}`, await latencies(rounds)));
		await wild.kill();
		await Promise.all(endings);
	}
	console.log(report.join("\n"));
}, 900_000);

test("the hog's process is killed and its sandbox lives on, while it also burns CPU and fills its disk", async () => {
	const times = campaignLength(2, 20);
	const deaths: string[] = [];
	let survived = 0;
	for (let turn = 0; turn < times; turn++) {
		const wild = killAtEnd(await Sandbox.create("base", sdk()));
		const others = [CPU_BURNER, DISK_FILLER].map((command) => ending(wild, command));
		deaths.push(await ending(wild, MEMORY_HOG));
		if (await answers(wild)) survived += 1;
		await latencies(1);
		await wild.kill();
		await Promise.all(others);
	}
	console.log(`${survived} of ${times} sandboxes survived their hog, which ended: ${[...new Set(deaths)].join("; ")}`);
	expect(deaths.filter((death) => !/signal: killed/.test(death)).length).toBeLessThanOrEqual(times - survived);
	expect(survived).toBeGreaterThanOrEqual(Math.floor(times * 0.95));
}, 1_800_000);

test("a fork bomb is ended, at worst with its sandbox, which then says why", async () => {
	const bombed = await newSandbox();
	const over = ending(bombed, FORK_BOMB);
	const [reasons, started] = [/too many processes|out of memory/i, Date.now()];
	await until(
		"the end of the bomb",
		async () => {
			const { body } = await rest("GET", `/sandboxes/${bombed.sandboxId}`);
			if (body.code === 404) return reasons.test(body.message);
			const logs = await rest("GET", `/sandboxes/${bombed.sandboxId}/logs`);
			return logs.body.logEntries.some(({ message }: { message: string }) => reasons.test(message));
		},
		90_000,
	);
	const { status, body } = await rest("GET", `/sandboxes/${bombed.sandboxId}`);
	console.log(`a fork bomb was over after ${Date.now() - started} ms: ${status === 404 ? body.message : "its sandbox lives on"}`);
	await bombed.kill();
	await over;
}, 180_000);
