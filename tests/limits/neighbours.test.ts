/** One sandbox that takes whatever it can get, beside nine that work as always. */
import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { campaignLength } from "../support/random.ts";
import { rest } from "../support/rest.ts";
import { killAtEnd, sdk, until } from "../support/sandboxes.ts";
import { CPU_BURNER, DISK_FILLER, FORK_BOMB, MEMORY_HOG } from "./hogs.ts";

const NEIGHBOURS = 9;
const COMMAND_TIMEOUT_MS = 120_000;

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

/** Turns of one wild sandbox after the other, in each of which the neighbours must answer. @returns how many survived, and how their hogs ended */
async function turns(times: number, wild: readonly string[]): Promise<{ survived: number; deaths: string[]; latency: string }> {
	const deaths: string[] = [];
	const beside: number[] = [];
	let survived = 0;
	for (let turn = 0; turn < times; turn++) {
		const sandbox = killAtEnd(await Sandbox.create("base", sdk()));
		const others = wild.map((command) => ending(sandbox, command));
		deaths.push(await ending(sandbox, MEMORY_HOG));
		beside.push(...(await latencies(1)));
		if (wild.includes(FORK_BOMB)) await hasNoBomb(sandbox);
		if (await answers(sandbox)) survived += 1;
		await sandbox.kill();
		await Promise.all(others);
	}
	beside.sort((a, b) => a - b);
	return { survived, deaths, latency: figures("meanwhile", beside) };
}

/** Waits for the end of a fork bomb, or of its sandbox. */
async function hasNoBomb(sandbox: Sandbox): Promise<void> {
	await until(
		"the end of the bomb",
		async () => {
			const { status, body } = await rest("GET", `/v2/sandboxes/${sandbox.sandboxId}/logs?level=warn`);
			return status !== 200 || body.logs.some(({ message }: { message: string }) => /process group|all programs/.test(message));
		},
		COMMAND_TIMEOUT_MS,
	);
}

test("the hog's process is killed and its sandbox lives on, while it also burns CPU and fills its disk", async () => {
	const times = campaignLength(2, 20);
	const { survived, deaths, latency } = await turns(times, [CPU_BURNER, DISK_FILLER]);
	console.log(
		`${survived} of ${times} sandboxes survived their hog, which ended: ${[...new Set(deaths)].join("; ")}\n${latency}`,
	);
	expect(deaths.filter((death) => !/signal: killed/.test(death)).length).toBeLessThanOrEqual(times - survived);
	expect(survived).toBeGreaterThanOrEqual(Math.floor(times * 0.95));
}, 1_800_000);

test.runIf(campaignLength(0, 1))(
	"it lives on as well with a fork bomb besides",
	async () => {
		const times = campaignLength(0, 20);
		const { survived, deaths, latency } = await turns(times, [CPU_BURNER, DISK_FILLER, FORK_BOMB]);
		console.log(
			`${survived} of ${times} sandboxes survived hog and fork bomb; the hog ended: ${[...new Set(deaths)].join("; ")}\n${latency}`,
		);
		expect(survived).toBeGreaterThanOrEqual(Math.floor(times * 0.95));
	},
	3_600_000,
);
