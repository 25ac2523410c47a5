/**
 * One builder at a time on a cache directory. The lock is the kernel's (flock), held by a small process whose input is
 * a pipe from this one: however this process ends, the pipe closes and the lock is free. There are no stale locks.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { OffshootError } from "../../protocol/index.ts";
import { killGroup } from "./run.ts";

export interface LockOptions {
	readonly signal: AbortSignal;
	/** Called once if the lock is held by somebody else and this call has to wait. */
	readonly onWait?: () => void;
}

/** Waits for the lock on `file` (made if missing), then runs `work` and holds the lock until it has settled. */
export async function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
	const release = await acquireLock(file, options);
	try {
		return await work();
	} finally {
		await release();
	}
}

async function acquireLock(file: string, options: LockOptions): Promise<() => Promise<void>> {
	options.signal.throwIfAborted();
	const script = "flock --nonblock 9 || { echo waiting; flock 9; }; echo locked; exec cat >/dev/null";
	const holder = spawn("sh", ["-c", `exec 9>>"$1"; ${script}`, "sh", file], {
		detached: true,
		stdio: ["pipe", "pipe", "inherit"],
	});
	const exited = once(holder, "exit");
	const release = async (): Promise<void> => {
		holder.stdin.destroy();
		killGroup(holder.pid);
		await exited;
	};
	const onAbort = (): void => killGroup(holder.pid);
	options.signal.addEventListener("abort", onAbort, { once: true });
	try {
		for await (const chunk of holder.stdout) {
			const said = String(chunk);
			if (said.includes("locked")) return release;
			options.onWait?.();
		}
	} finally {
		options.signal.removeEventListener("abort", onAbort);
	}
	options.signal.throwIfAborted();
	throw new OffshootError(
		"internal",
		`Cannot lock ${file}: check that its directory exists and that flock (util-linux) is installed`,
	);
}
