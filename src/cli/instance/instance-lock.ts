/**
 * At most one process owns a data directory: a server, or a `down` that cleans up after one. The kernel decides and
 * frees the lock with its owner's death; the file beside it only tells who that is.
 */
import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Static, Type } from "typebox";
import { FileLock, identifyProcess, isAlive, ProcessIdentitySchema, replaceFileSync } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { readJsonFile } from "./json-file.ts";

const LOCK = "lock";
const OWNER = "lock.json";
/** An owner writes its name right after it got the lock: longer than this it takes only when it is being stopped. */
const OWNER_WAIT_MS = 1000;

/** Sandboxes' processes run as other users and must reach their files; nobody else needs to list them. */
const DATA_DIR_MODE = 0o711;

const OwnerSchema = Type.Object({
	...ProcessIdentitySchema.properties,
	/** What the owner is about, unless it is a server that can be used. */
	activity: Type.Optional(
		Type.Object({
			state: Type.Union([Type.Literal("starting"), Type.Literal("stopping")]),
			/** The step it is at, for people. */
			step: Type.Optional(Type.String()),
		}),
	),
});
export type Owner = Static<typeof OwnerSchema>;
export type Activity = NonNullable<Owner["activity"]>;

/** Held until disposed or until the process ends. */
export interface InstanceLock extends Disposable {
	/** For other commands that ask; undefined when there is a server to be used. */
	tell(activity: Activity | undefined): void;
}

/** @throws OffshootError conflict with the pid of the owner */
export async function lockInstance(dataDir: string, activity: Activity): Promise<InstanceLock> {
	await mkdir(dataDir, { recursive: true, mode: DATA_DIR_MODE });
	const lock = FileLock.tryAcquire(join(dataDir, LOCK));
	if (lock === undefined) throw await inUse(dataDir);
	return claim(dataDir, lock, activity);
}

/** Waits for the data directory to be free. */
export async function awaitInstanceLock(dataDir: string, activity: Activity, signal: AbortSignal): Promise<InstanceLock> {
	return claim(dataDir, await FileLock.acquire(join(dataDir, LOCK), () => {}, signal), activity);
}

/** The living process that owns the data directory. */
export async function instanceOwner(dataDir: string): Promise<Owner | undefined> {
	const owner = await readJsonFile(join(dataDir, OWNER), OwnerSchema);
	return owner !== undefined && isAlive(owner) ? owner : undefined;
}

/** For a command that would start an owner. @throws OffshootError conflict with the pid of the present one */
export async function refuseOwned(dataDir: string): Promise<void> {
	const owner = await instanceOwner(dataDir);
	if (owner !== undefined) throw ownedBy(dataDir, owner);
}

function claim(dataDir: string, lock: FileLock, first: Activity): InstanceLock {
	const owner = join(dataDir, OWNER);
	// Synchronous, so that what is told first is not overtaken by what is told next.
	const tell = (activity: Activity | undefined) => {
		try {
			replaceFileSync(owner, JSON.stringify({ ...identifyProcess(process.pid), activity }), 0o644);
		} catch {
			// A courtesy: the lock holds without it, and a server must be able to stop on a full disk.
		}
	};
	tell(first);
	return {
		tell,
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

function ownedBy(dataDir: string, owner: Owner | undefined): OffshootError {
	const doing = owner?.activity === undefined ? "" : `, which is ${describeActivity(owner.activity)}`;
	const who = owner === undefined ? "another process" : `process ${owner.pid}${doing}`;
	return new OffshootError(
		"conflict",
		`${dataDir} is in use by ${who}. FIX: use that server (./offshoot status), end it (./offshoot down), or set OFFSHOOT_DATA_DIR and OFFSHOOT_PORT for a second one`,
	);
}

/** E.g. "starting (Template base)". */
export function describeActivity({ state, step }: Activity): string {
	return step === undefined ? state : `${state} (${step})`;
}
