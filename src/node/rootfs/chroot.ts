/** Build steps that run inside a new tree: with the network settings of this machine, and leaving nothing of it behind. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readHostNetwork } from "./host-network.ts";
import { runIsolated } from "./run.ts";

const SCRIPT = fileURLToPath(new URL("chroot.sh", import.meta.url));

/** A tree together with a scratch directory for the settings of this machine. */
export interface Chroot {
	/** Runs a program inside the tree; throws CommandError or the signal's reason. */
	run(command: readonly [string, ...string[]], signal: AbortSignal): Promise<void>;
	/** Path of the scratch directory on this machine; inside the tree it is SCRATCH_INSIDE. */
	readonly scratch: string;
}

export const SCRATCH_INSIDE = "/tmp/host";

/**
 * Prepares running programs in `tree`. `scratch` is made by this call; its owner removes it. `morePaths` name further files
 * of this machine that the programs shall see, below HOST_PATHS.
 */
export async function openChroot(tree: string, scratch: string, morePaths: readonly string[] = []): Promise<Chroot> {
	const network = await readHostNetwork(process.env);
	const pathList = `${scratch}.paths`;
	await mkdir(scratch, { recursive: true });
	await copyFile("/etc/resolv.conf", join(scratch, "resolv.conf"));
	await copyFile("/etc/hosts", join(scratch, "hosts"));
	const paths = new Set([...network.paths, ...morePaths]);
	await writeFile(pathList, [...paths].map((path) => `${path}\n`).join(""));
	const env = {
		...network.env,
		PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		HOME: "/tmp",
		LANG: "C.UTF-8",
		DEBIAN_FRONTEND: "noninteractive",
	};
	return {
		scratch,
		async run(command, signal) {
			await runIsolated(["sh", SCRIPT, tree, scratch, pathList, ...command], { signal, env, name: command[0] });
		},
	};
}
