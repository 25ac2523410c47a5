/** Rules for the time a sandbox may live: setting its end, extending it, and the longest time allowed. */
import type { SandboxRecord } from "../fleet/index.ts";
import { OffshootError } from "../protocol/index.ts";
import { type Core, now } from "./core.ts";
import { decide, NEVER_ABORTED } from "./decide.ts";
import type { Limits } from "./limits.ts";
import type { Team, Timeout } from "./types.ts";

/** Traffic that wakes a sandbox gives it at least this long, s. */
const MIN_AUTO_RESUME_SECONDS = 300;
/** A refresh gives at least this long, s. */
const MIN_REFRESH_SECONDS = 15;

/**
 * Seconds that a sandbox may have of what was asked for.
 * @throws OffshootError invalid_request
 */
export function allowedTimeout({ maxTimeoutSeconds }: Limits, timeout: Timeout): number {
	if (typeof timeout !== "number") return Math.min(timeout.upTo, maxTimeoutSeconds);
	if (!(timeout > 0)) throw new OffshootError("invalid_request", "Timeout must be greater than 0");
	if (timeout <= maxTimeoutSeconds) return timeout;
	throw new OffshootError("invalid_request", `Timeout cannot be greater than ${spoken(maxTimeoutSeconds)}`);
}

/** End of a life that starts at `startedAt`, `seconds` from then. */
export function endAfter(startedAt: Date, seconds: number): Date {
	return new Date(startedAt.getTime() + seconds * 1000);
}

/** Timeout of a sandbox that traffic wakes, s. */
export function autoResumeTimeout(record: SandboxRecord): number {
	return Math.max(record.timeoutSeconds, MIN_AUTO_RESUME_SECONDS);
}

/** Sets the end `seconds` from now; it may shorten the time, and a negative value means now. */
export async function setTimeoutOf(core: Core, team: Team, sandboxId: string, seconds: number): Promise<void> {
	core.assertOpen();
	const limits = await core.limits.of(team.id);
	await decide(
		core,
		"setTimeout",
		() => core.ledger.owned(team, sandboxId),
		{ go: async (record) => core.ledger.setEnd(record, requestedEnd(core, record, limits, Math.max(0, seconds))) },
		NEVER_ABORTED,
	);
}

/** Extends the time to `seconds` from now, never shortens it. */
export async function refresh(core: Core, team: Team, sandboxId: string, seconds: number): Promise<void> {
	core.assertOpen();
	const limits = await core.limits.of(team.id);
	await decide(
		core,
		"refresh",
		() => core.ledger.owned(team, sandboxId),
		{ go: (record) => extend(core, record, limits, Math.max(MIN_REFRESH_SECONDS, seconds)) },
		NEVER_ABORTED,
	);
}

/** Moves the end of a running sandbox to `seconds` from now if that is later. */
export async function extend(core: Core, record: SandboxRecord, limits: Limits, seconds: number): Promise<SandboxRecord> {
	const endAt = requestedEnd(core, record, limits, seconds);
	return endAt > record.endAt ? core.ledger.setEnd(record, endAt) : record;
}

/** @throws OffshootError invalid_request when the end would move on and the sandbox has lived as long as it may */
function requestedEnd(core: Core, record: SandboxRecord, limits: Limits, seconds: number): Date {
	const wanted = endAfter(now(core), seconds);
	const latest = endAfter(record.startedAt, limits.maxTimeoutSeconds);
	if (now(core) <= latest) return wanted < latest ? wanted : latest;
	// A limit that was lowered meanwhile keeps nobody from ending a sandbox sooner.
	if (wanted <= record.endAt) return wanted;
	throw new OffshootError("invalid_request", "Max instance length exceeded");
}

/** In hours, as clients know it, where two digits say it exactly. */
function spoken(seconds: number): string {
	return seconds % 36 === 0 ? `${seconds / 3600} hours` : `${seconds} seconds`;
}
