/**
 * The lifecycle: what each operation does to a sandbox in each phase. This table is the only place that says so; the
 * other files carry its verdicts out. Clients see `running` (running, snapshotting) and `paused` (pausing, paused,
 * resuming); a starting sandbox has no id that anyone could know.
 */
import type { SandboxRecord, SandboxRowState } from "../fleet/index.ts";
import { OffshootError, sandboxNotFound } from "../protocol/index.ts";
import type { SandboxState } from "./types.ts";

type LivingState = Exclude<SandboxRowState, "ended">;

/**
 * State of a living sandbox; while an operation is under way, the state it is passing through. A paused one may have no
 * memory, or memory that cannot be used since the guest's agent did not answer when it was captured.
 */
export type Phase = LivingState | "pausedFiles" | "pausedUnresponsive";

/** Phases with an operation under way. */
export type Transition = Exclude<LivingState, "running" | "paused">;

export type OperationName =
	| "get"
	| "connect"
	/** From the files alone, whatever else the pause has kept. */
	| "connectCold"
	| "resume"
	| "resumeCold"
	| "pause"
	| "setTimeout"
	| "refresh"
	| "setNetwork"
	| "kill"
	| "fork"
	| "snapshot"
	| "admit";

export type Verdict =
	/** Carry it out now. */
	| { readonly do: "go" }
	/** Wait until the operation under way has ended, then look again. */
	| { readonly do: "wait" }
	/** The operation under way is the one asked for: share its result. */
	| { readonly do: "join" }
	| { readonly do: "refuse"; readonly error: (sandboxId: string) => OffshootError };

const go: Verdict = { do: "go" };
const wait: Verdict = { do: "wait" };
const join: Verdict = { do: "join" };

function conflict(what: string): Verdict {
	return { do: "refuse", error: (id) => new OffshootError("conflict", `Sandbox "${id}" ${what}`) };
}

const notFound: Verdict = { do: "refuse", error: sandboxNotFound };
const changing = conflict("is changing its state; try again in a moment");
const alreadyPaused = conflict("is paused already");
const alreadyRunning = conflict("is running already; use connect to extend its time");
const notForkable = conflict("is paused and cannot be forked; resume it first");
const unresponsive: Verdict = {
	do: "refuse",
	error: (id) =>
		new OffshootError(
			"conflict",
			`Sandbox "${id}" was paused while its guest agent did not answer, so its memory cannot be restored; resume it with memory: false, which starts it anew from its files`,
			{ errorCode: "sandbox_snapshot_guest_agent_unresponsive", shouldRetry: false },
		),
};

/** What holds for every paused sandbox, whatever its pause has kept. */
function whilePaused(verdict: Verdict): Readonly<Record<"paused" | "pausedFiles" | "pausedUnresponsive", Verdict>> {
	return { paused: verdict, pausedFiles: verdict, pausedUnresponsive: verdict };
}

const connect = { starting: notFound, running: go, snapshotting: wait, pausing: wait, ...whilePaused(go), resuming: wait };
const resume = {
	starting: notFound,
	running: alreadyRunning,
	snapshotting: alreadyRunning,
	pausing: wait,
	...whilePaused(go),
	resuming: join,
};
const setEnd = {
	starting: notFound,
	running: go,
	snapshotting: changing,
	pausing: changing,
	...whilePaused(notFound),
	resuming: changing,
};

export const LIFECYCLE: Readonly<Record<OperationName, Readonly<Record<Phase, Verdict>>>> = {
	get: { starting: notFound, running: go, snapshotting: go, pausing: go, ...whilePaused(go), resuming: go },
	connect: { ...connect, pausedUnresponsive: unresponsive },
	connectCold: connect,
	resume: { ...resume, pausedUnresponsive: unresponsive },
	resumeCold: resume,
	pause: {
		starting: notFound,
		running: go,
		snapshotting: wait,
		pausing: join,
		...whilePaused(alreadyPaused),
		resuming: wait,
	},
	setTimeout: setEnd,
	refresh: setEnd,
	setNetwork: setEnd,
	kill: { starting: go, running: go, snapshotting: go, pausing: go, ...whilePaused(go), resuming: go },
	fork: {
		starting: notFound,
		running: go,
		snapshotting: changing,
		pausing: changing,
		...whilePaused(notForkable),
		resuming: changing,
	},
	snapshot: setEnd,
	// Traffic can't wake what has no usable memory: the request would meet processes that are not there yet.
	admit: {
		starting: notFound,
		running: go,
		snapshotting: go,
		pausing: wait,
		...whilePaused(notFound),
		paused: go,
		resuming: join,
	},
};

/** Row states that clients see as each of the two states. */
export const VISIBLE_AS: Readonly<Record<SandboxState, readonly LivingState[]>> = {
	running: ["running", "snapshotting"],
	paused: ["pausing", "paused", "resuming"],
};

/** Phase of a sandbox with no operation under way. */
export function phaseAtRest(record: Pick<SandboxRecord, "state" | "pauseMode" | "agentUnresponsiveAtPause">): Phase {
	const { state, pauseMode, agentUnresponsiveAtPause } = record;
	// Control knows of living sandboxes only.
	if (state === "ended") throw new Error("a sandbox that has ended has no phase");
	if (state !== "paused") return state;
	if (pauseMode === "filesystem") return "pausedFiles";
	return agentUnresponsiveAtPause ? "pausedUnresponsive" : "paused";
}

/** What clients see of a row's state. */
export function visibleState(state: SandboxRowState): SandboxState {
	return VISIBLE_AS.running.some((visible) => visible === state) ? "running" : "paused";
}
