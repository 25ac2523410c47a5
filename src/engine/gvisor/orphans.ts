import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Commands and sandboxes that a killed server left in the middle of something. A command goes on by itself and may
 * still make a container, so it is waited for; a sandbox process that runsc knows nothing about is ended.
 */
interface RunscProcess {
	readonly pid: number;
	/** A command ends by itself; the others live as long as their container. */
	readonly command: boolean;
	readonly args: readonly string[];
}

const LONG_LIVED = ["runsc-sandbox", "runsc-gofer"];
const POLL_MS = 20;

/** Resolves when no command of an earlier process works on this state directory any more. */
export async function awaitCommands(stateDir: string, signal: AbortSignal): Promise<void> {
	while ((await runscProcesses(stateDir)).some((process) => process.command)) {
		await sleep(POLL_MS, undefined, { signal });
	}
}

/** Ends sandbox processes of this state directory whose container is none of `known`. */
export async function killUnknown(stateDir: string, known: readonly string[]): Promise<void> {
	const strays = await runscProcesses(stateDir);
	for (const stray of strays) if (!stray.command && !known.some((id) => belongsTo(stray, id))) kill(stray.pid);
}

/** Ends what is left of one container that runsc has no record of: a start that was cut off in the middle. */
export async function killContainer(stateDir: string, id: string): Promise<void> {
	for (const process of await runscProcesses(stateDir)) if (belongsTo(process, id)) kill(process.pid);
}

/** Sandbox and gofer name their container in one of their arguments, by itself or as the end of the bundle's path. */
function belongsTo({ args }: RunscProcess, id: string): boolean {
	return args.some((arg) => arg === id || arg.endsWith(`/${id}`));
}

function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		// It ended by itself meanwhile.
	}
}

async function runscProcesses(stateDir: string): Promise<RunscProcess[]> {
	const found: RunscProcess[] = [];
	for (const name of await readdir("/proc")) {
		if (!/^\d+$/.test(name)) continue;
		const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
		if (!line.includes(`--root=${stateDir}\0`)) continue;
		const args = line.split("\0");
		found.push({ pid: Number(name), command: !LONG_LIVED.includes(args[0] ?? ""), args });
	}
	return found;
}
