/**
 * Ending sandboxes. The row goes first: from then on the sandbox is in no list, the edge refuses it, and nothing counts
 * as based on its template. What it had on the host goes afterwards and would be found at the next start.
 */
import { randomUUID } from "node:crypto";
import type { SandboxRecord } from "../fleet/index.ts";
import type { OrderKey, SandboxExit } from "../node/index.ts";
import { sandboxNotFound } from "../protocol/index.ts";
import { abandonable, sleep } from "./clock.ts";
import { type Core, deleteArtifact, now, removeContainer, unlessKilled } from "./core.ts";
import { decide } from "./decide.ts";
import type { Ending } from "./ledger.ts";
import type { Team } from "./types.ts";

/** How long a kill waits for the operation that it interrupted; that cleans up after itself in any case. */
const INTERRUPTED_WAIT_MS = 5_000;

/** @throws OffshootError not_found, also for the second kill */
export async function kill(core: Core, team: Team, sandboxId: string, signal: AbortSignal): Promise<void> {
	core.assertOpen();
	await decide(
		core,
		"kill",
		() => core.ledger.owned(team, sandboxId),
		{ go: (record) => endSandbox(core, record.id, { reason: "killed by request" }) },
		signal,
	);
}

/**
 * Ends a sandbox in whatever state it is.
 * @throws OffshootError not_found when it had ended already, or is not due any more
 */
export async function endSandbox(core: Core, sandboxId: string, ending: Omit<Ending, "at">): Promise<void> {
	const before = await endRow(core, sandboxId, ending);
	const interrupted = core.operations.current(sandboxId);
	interrupted?.abort(sandboxNotFound(sandboxId));
	if (before.state !== "paused") await removeContainer(core, containerOf(before));
	// A resume may be reading the image still.
	const cleaned = interrupted ? interrupted.released.then(() => dropPauseImage(core, before)) : dropPauseImage(core, before);
	core.chores.inBackground(cleaned);
	await withinReason(core, cleaned);
}

/** The same for the operation that holds the sandbox's lock itself. */
export async function endLocked(core: Core, sandboxId: string, reason: string): Promise<void> {
	const before = await endRow(core, sandboxId, { reason });
	await removeContainer(core, containerOf(before));
	await dropPauseImage(core, before);
}

async function endRow(core: Core, sandboxId: string, ending: Omit<Ending, "at">): Promise<SandboxRecord> {
	const before = await core.ledger.end(sandboxId, { ...ending, at: now(core) });
	if (!before) throw sandboxNotFound(sandboxId);
	core.log.info({ sandboxId, reason: ending.reason }, "sandbox ended");
	core.announceGone({ sandboxId, incarnation: before.incarnation });
	return before;
}

function containerOf(record: SandboxRecord): OrderKey {
	return { sandboxId: record.id, incarnation: record.incarnation, operationId: randomUUID() };
}

async function dropPauseImage(core: Core, before: SandboxRecord): Promise<void> {
	if (before.pauseArtifactId) await deleteArtifact(core, before.pauseArtifactId);
}

async function withinReason(core: Core, cleaned: Promise<void>): Promise<void> {
	const enough = new AbortController();
	const timeout = sleep(core.clock, INTERRUPTED_WAIT_MS, enough.signal).catch(() => undefined);
	await Promise.race([cleaned, timeout]);
	enough.abort();
}

/** A container ended by itself. During an operation it is the operation's end that decides what that means. */
export async function handleExit(core: Core, exit: SandboxExit): Promise<void> {
	const record = core.ledger.get(exit.sandboxId);
	if (record?.incarnation !== exit.incarnation) return;
	const operation = core.operations.current(exit.sandboxId);
	if (operation) operation.exit = exit;
	else if (record.state === "running") await unlessKilled(endSandbox(core, exit.sandboxId, { reason: exit.reason }));
}

/** Ends every sandbox that runs, for a server that goes down for good; paused ones stay. @returns how many */
export async function endRunning(core: Core, reason: string, signal: AbortSignal): Promise<number> {
	await abandonable(core.operations.idle(), signal);
	const running = [...core.ledger.all()].filter((record) => record.state === "running");
	await Promise.all(running.map((record) => unlessKilled(endSandbox(core, record.id, { reason }))));
	return running.length;
}
