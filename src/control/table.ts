/**
 * The lifecycle: what each operation does to a sandbox in each phase. This table is the only place that says so; the
 * other files carry its verdicts out. Clients see `running` (running, snapshotting) and `paused` (pausing, paused,
 * resuming); a starting sandbox has no id that anyone could know.
 */
import type { SandboxRowState } from "../fleet/index.ts";
import { OffshootError, sandboxNotFound } from "../protocol/index.ts";
import type { SandboxState } from "./types.ts";

/** State of a living sandbox; while an operation is under way, the state it is passing through. */
export type Phase = Exclude<SandboxRowState, "ended">;

/** Phases with an operation under way. */
export type Transition = Exclude<Phase, "running" | "paused">;

export type OperationName =
	| "get"
	| "connect"
	| "resume"
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

export const LIFECYCLE: Readonly<Record<OperationName, Readonly<Record<Phase, Verdict>>>> = {
	get: { starting: notFound, running: go, snapshotting: go, pausing: go, paused: go, resuming: go },
	connect: { starting: notFound, running: go, snapshotting: wait, pausing: wait, paused: go, resuming: wait },
	resume: {
		starting: notFound,
		running: alreadyRunning,
		snapshotting: alreadyRunning,
		pausing: wait,
		paused: go,
		resuming: join,
	},
	pause: { starting: notFound, running: go, snapshotting: wait, pausing: join, paused: alreadyPaused, resuming: wait },
	setTimeout: {
		starting: notFound,
		running: go,
		snapshotting: changing,
		pausing: changing,
		paused: notFound,
		resuming: changing,
	},
	refresh: {
		starting: notFound,
		running: go,
		snapshotting: changing,
		pausing: changing,
		paused: notFound,
		resuming: changing,
	},
	setNetwork: {
		starting: notFound,
		running: go,
		snapshotting: changing,
		pausing: changing,
		paused: notFound,
		resuming: changing,
	},
	kill: { starting: go, running: go, snapshotting: go, pausing: go, paused: go, resuming: go },
	fork: {
		starting: notFound,
		running: go,
		snapshotting: changing,
		pausing: changing,
		paused: notForkable,
		resuming: changing,
	},
	snapshot: {
		starting: notFound,
		running: go,
		snapshotting: changing,
		pausing: changing,
		paused: notFound,
		resuming: changing,
	},
	admit: { starting: notFound, running: go, snapshotting: go, pausing: wait, paused: go, resuming: join },
};

/** Row states that clients see as each of the two states. */
export const VISIBLE_AS: Readonly<Record<SandboxState, readonly Phase[]>> = {
	running: ["running", "snapshotting"],
	paused: ["pausing", "paused", "resuming"],
};

/** What clients see of a row's state. */
export function visibleState(state: SandboxRowState): SandboxState {
	return VISIBLE_AS.running.some((visible) => visible === state) ? "running" : "paused";
}
