/** The development tools among the npm packages, run by the Node that runs this program. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { REPOSITORY } from "../repository.ts";

export interface ToolOptions {
	readonly signal: AbortSignal;
	/** Added to the environment. */
	readonly env?: NodeJS.ProcessEnv;
}

/** Runs a tool with this process's standard streams. Returns its exit code; 1 when it was killed. */
export async function runTool(name: string, args: readonly string[], options: ToolOptions): Promise<number> {
	// The links in .bin start whatever `node` is on PATH, which may be too old for the tool.
	return runScript(await realpath(join(REPOSITORY, "node_modules/.bin", name)), args, options);
}

export async function runScript(path: string, args: readonly string[], { signal, env }: ToolOptions): Promise<number> {
	const child = spawn(process.execPath, [...process.execArgv, path, ...args], {
		cwd: REPOSITORY,
		stdio: ["ignore", "inherit", "inherit"],
		env: { ...process.env, ...env },
		signal,
		killSignal: "SIGTERM",
	});
	const [code] = await once(child, "exit");
	return typeof code === "number" ? code : 1;
}
