import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { CommandError, run } from "../../command.ts";
import type { EngineSource } from "../engines.ts";
import { judgeVersion } from "./version.ts";

/** A release keeps its helper programs in this directory beside the binary and does not start without them. */
const SIDECAR_DIR = "gvisor-bin";

/** A build from the Go module has no sidecar programs and must be told to do without. */
const MODULE_FLAGS = ["--sidecar-usage-policy=LEGACY_DEPRECATED_SLOW_EMBEDDED_FALLBACK"];

export type Inspection =
	| { readonly usable: true; readonly kind: "release" | "module"; readonly runsc: EngineSource }
	| { readonly usable: false; readonly path: string; readonly reason: string };

/** Looks at one runsc binary: starts it to read its version and digests it. Changes nothing. */
export async function inspectRunsc(path: string, signal: AbortSignal): Promise<Inspection> {
	const refuse = (reason: string): Inspection => ({ usable: false, path, reason });
	// Sidecars are looked for beside the real file, as runsc itself does.
	const real = await realpath(path).catch(() => undefined);
	if (real === undefined) return refuse("there is no such file");
	const output = await versionOutput(real, signal);
	if (output instanceof CommandError) return refuse(`it does not start: ${output.message}`);

	const verdict = judgeVersion(output);
	if (verdict.kind === "refused") return refuse(verdict.reason);
	if (verdict.kind === "release" && !(await isDirectory(join(dirname(real), SIDECAR_DIR)))) {
		return refuse(`${verdict.version} needs the directory ${SIDECAR_DIR}/ of its release beside it`);
	}
	const extraFlags = verdict.kind === "module" ? MODULE_FLAGS : [];
	const sha256 = await digest(real, signal);
	return { usable: true, kind: verdict.kind, runsc: { path: real, version: verdict.version, sha256, extraFlags } };
}

async function versionOutput(path: string, signal: AbortSignal): Promise<string | CommandError> {
	try {
		return (await run(path, ["--version"], { signal, timeoutMs: 10_000 })).stdout;
	} catch (error) {
		signal.throwIfAborted();
		if (error instanceof CommandError) return error;
		throw error;
	}
}

async function isDirectory(path: string): Promise<boolean> {
	return stat(path).then(
		(entry) => entry.isDirectory(),
		() => false,
	);
}

async function digest(path: string, signal: AbortSignal): Promise<string> {
	const hash = createHash("sha256");
	await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, { signal });
	return hash.digest("hex");
}
