/** Brings the machine into the state that a server needs: what `doctor --fix` repairs and every start makes sure of. */
import { type EngineSource, obtainRunsc } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import type { Progress } from "../terminal/progress.ts";
import { installPackages, missingPackages } from "./packages.ts";

/** @throws OffshootError forbidden */
export function requireRoot(command: string): void {
	if (process.getuid?.() === 0) return;
	throw new OffshootError("forbidden", `${command} needs root. FIX: sudo ./offshoot ${command}`);
}

/** Announced as a step only when there is something to install. */
export async function preparePackages(progress: Progress, signal: AbortSignal): Promise<void> {
	const missing = await missingPackages(signal);
	if (missing.length === 0) return;
	await progress.step(`Debian packages: ${missing.join(", ")}`, (detail) => installPackages(missing, detail, signal));
}

export function prepareRunsc(config: Config, progress: Progress, signal: AbortSignal): Promise<EngineSource> {
	return progress.step("gVisor engine (runsc)", (detail) => {
		const { cacheDir, runscPath, runscUrl } = config;
		return obtainRunsc({ cacheDir, runscPath, releaseUrl: runscUrl, onProgress: detail }, signal);
	});
}
