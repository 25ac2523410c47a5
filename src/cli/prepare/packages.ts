/** The Debian packages that Offshoot needs on its host, and their installation. */
import { readdir } from "node:fs/promises";
import { CommandError, run, runLines } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";

export interface RequiredPackage {
	readonly name: string;
	readonly why: string;
}

const REQUIRED_PACKAGES: readonly RequiredPackage[] = [
	{ name: "nftables", why: "network rules of sandboxes" },
	{ name: "iproute2", why: "network namespaces of sandboxes" },
	{ name: "mmdebstrap", why: "root filesystems of templates" },
	{ name: "tini", why: "init inside sandboxes" },
	{ name: "busybox-static", why: "start-up script inside sandboxes" },
	{ name: "gcc", why: "compiling the process starter of sandboxes" },
	{ name: "libc6-dev", why: "compiling the process starter of sandboxes" },
	{ name: "libatomic1", why: "Node inside sandboxes" },
	{ name: "ca-certificates", why: "trust store of sandboxes" },
	{ name: "bzip2", why: "unpacking a gVisor release" },
	{ name: "python3-venv", why: "bringing Go to build runsc; tests with Python clients" },
];

const INSTALL = ["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];

/** Names of the required packages that are not installed. @throws OffshootError not_implemented without dpkg */
export async function missingPackages(
	signal: AbortSignal,
	required: readonly RequiredPackage[] = REQUIRED_PACKAGES,
): Promise<readonly string[]> {
	const names = required.map((one) => one.name);
	const installed = new Set((await dpkgQuery(names, signal)).split("\n"));
	return names.filter((name) => !installed.has(`${name} install ok installed`));
}

async function dpkgQuery(names: readonly string[], signal: AbortSignal): Promise<string> {
	// dpkg-query exits with 1 as soon as one name is unknown to it; the shell keeps what it printed of the others.
	const script = 'command -v dpkg-query >/dev/null || exit 127; dpkg-query -W -f "$0" "$@" 2>/dev/null || true';
	// biome-ignore lint/suspicious/noTemplateCurlyInString: placeholders of dpkg-query, not ours
	const format = "${Package} ${Status}\\n";
	try {
		return (await run("sh", ["-c", script, format, ...names], { signal })).stdout;
	} catch (error) {
		if (!(error instanceof CommandError) || error.exitCode !== 127) throw error;
		throw new OffshootError(
			"not_implemented",
			`this machine has no dpkg, and Offshoot knows Debian's packages only. FIX: use Debian 12 or Ubuntu 24.04, or later`,
			{ cause: error },
		);
	}
}

/** @throws OffshootError internal with apt's own words */
export async function installPackages(
	names: readonly string[],
	onProgress: (message: string) => void,
	signal: AbortSignal,
): Promise<void> {
	const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	const apt = (args: readonly string[]) => runLines("apt-get", args, { signal, env, onLine: onProgress });
	try {
		// A fresh machine has no package lists, and one of long ago has lists of packages that are gone.
		if (!(await hasPackageLists())) await apt(["update"]);
		await apt([...INSTALL, ...names]).catch(async (error: unknown) => {
			signal.throwIfAborted();
			onProgress(
				`apt-get install failed, trying again with new package lists (${error instanceof Error ? error.message.split("\n")[0] : error})`,
			);
			await apt(["update"]);
			await apt([...INSTALL, ...names]);
		});
	} catch (error) {
		signal.throwIfAborted();
		if (!(error instanceof CommandError)) throw error;
		throw new OffshootError("internal", `${error.message}\nFIX: ${installLine(names)}`, { cause: error });
	}
}

export function installLine(names: readonly string[]): string {
	return `apt-get update && apt-get install -y ${names.join(" ")}`;
}

async function hasPackageLists(): Promise<boolean> {
	const names = await readdir("/var/lib/apt/lists").catch(() => []);
	return names.some((name) => name.endsWith("_Packages") || name.includes("_Packages."));
}
