/** Builds runsc through the Go module proxy, for machines that reach that but not gVisor's releases. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runLines } from "../../host/run-lines.ts";
import { goToolchain } from "./go-toolchain.ts";
import { MODULE_VERSION } from "./version.ts";

/** Pins gVisor and, through go.sum, every byte of source that goes into the build. */
const MODULE_DIR = join(import.meta.dirname, "module");
const PACKAGE = "gvisor.dev/gvisor/runsc";

/** Leaves the binary at `<dir>/runsc`. Takes about a minute on two cores. */
export async function buildFromModule(dir: string, onProgress: (message: string) => void, signal: AbortSignal): Promise<void> {
	const scratch = await mkdtemp(join(tmpdir(), "offshoot-runsc-build-"));
	try {
		const go = await goToolchain(scratch, onProgress, signal);
		await cp(MODULE_DIR, join(scratch, "module"), { recursive: true });
		const options = {
			cwd: join(scratch, "module"),
			env: buildEnvironment(go.env),
			signal,
			onLine: (line: string) => onProgress(line.replace(/^go: /, "")),
		};
		onProgress("downloading the source of runsc");
		await runLines(go.path, ["mod", "download"], options);
		onProgress("compiling runsc, about a minute");
		const flags = ["-trimpath", "-ldflags", `-s -w -X ${PACKAGE}/version.version=${MODULE_VERSION}`];
		await runLines(go.path, ["build", ...flags, "-o", join(dir, "runsc"), PACKAGE], options);
	} finally {
		await rm(scratch, { recursive: true, force: true });
	}
}

function buildEnvironment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
	// Settings meant for the user's own Go projects must not change what is built here.
	const { GOOS: _os, GOARCH: _arch, GOROOT: _root, ...rest } = process.env;
	// -modcacherw: without it the module cache cannot be deleted by other than root.
	return { ...rest, ...own, CGO_ENABLED: "0", GO111MODULE: "on", GOWORK: "off", GOFLAGS: "-mod=readonly -modcacherw" };
}
