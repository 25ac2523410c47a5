/**
 * At most one process owns a data directory: a server, or a `down` that cleans up after one. The kernel decides and
 * frees the lock with its owner's death; the file beside it only tells who that is.
 */
import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileLock } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { readJsonFile, writeJsonFile } from "./json-file.ts";
import { identifyProcess, isAlive, type ProcessIdentity, ProcessIdentitySchema } from "./process-identity.ts";

const LOCK = "lock";
const OWNER = "lock.json";
/** An owner writes its name right after it got the lock: longer than this it takes only when it is being stopped. */
const OWNER_WAIT_MS = 1000;

/** Sandboxes' processes run as other users and must reach their files; nobody else needs to list them. */
const DATA_DIR_MODE = 0o711;

/** Held until disposed or until the process ends. */
export type InstanceLock = Disposable;

/** @throws OffshootError conflict with the pid of the owner */
export async function lockInstance(dataDir: string): Promise<InstanceLock> {
	await mkdir(dataDir, { recursive: true, mode: DATA_DIR_MODE });
	const lock = FileLock.tryAcquire(join(dataDir, LOCK));
	if (lock === undefined) throw await inUse(dataDir);
	return claim(dataDir, lock);
}

/** Waits for the data directory to be free. */
export async function awaitInstanceLock(dataDir: string, signal: AbortSignal): Promise<InstanceLock> {
	return claim(dataDir, await FileLock.acquire(join(dataDir, LOCK), () => {}, signal));
}

/** The living process that owns the data directory. */
export async function instanceOwner(dataDir: string): Promise<ProcessIdentity | undefined> {
	const owner = await readJsonFile(join(dataDir, OWNER), ProcessIdentitySchema);
	return owner !== undefined && isAlive(owner) ? owner : undefined;
}

/** For a command that would start an owner. @throws OffshootError conflict with the pid of the present one */
export async function refuseOwned(dataDir: string): Promise<void> {
	const owner = await instanceOwner(dataDir);
	if (owner !== undefined) throw ownedBy(dataDir, owner);
}

async function claim(dataDir: string, lock: FileLock): Promise<InstanceLock> {
	const owner = join(dataDir, OWNER);
	await writeJsonFile(owner, identifyProcess(process.pid), 0o644);
	return {
		[Symbol.dispose]() {
			// While the lock is still held: afterwards the file may be the next owner's.
			rmSync(owner, { force: true });
			lock[Symbol.dispose]();
		},
	};
}

async function inUse(dataDir: string): Promise<OffshootError> {
	const deadline = Date.now() + OWNER_WAIT_MS;
	let owner = await instanceOwner(dataDir);
	while (owner === undefined && Date.now() < deadline) {
		await sleep(50);
		owner = await instanceOwner(dataDir);
	}
	return ownedBy(dataDir, owner);
}

function ownedBy(dataDir: string, owner: ProcessIdentity | undefined): OffshootError {
	const who = owner === undefined ? "another process" : `process ${owner.pid}`;
	return new OffshootError(
		"conflict",
		`${dataDir} is in use by ${who}. FIX: use that server (./offshoot status), end it (./offshoot down), or set OFFSHOOT_DATA_DIR and OFFSHOOT_PORT for a second one`,
	);
}
