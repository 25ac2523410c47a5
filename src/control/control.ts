/**
 * Puts control together. It is the single owner of every transition of a sandbox: each is written to the fleet with a
 * compare-and-set before the node is asked, and is durable before anyone is told.
 */
import type { Fleet, SandboxRecord } from "../fleet/index.ts";
import type { ArtifactFacts, NodeClient } from "../node/index.ts";
import { hasCode, newBuildId, newSandboxId, OffshootError, sandboxNotFound } from "../protocol/index.ts";
import { accountsOf } from "./accounts.ts";
import { admit } from "./admission.ts";
import { catalogOf } from "./catalog.ts";
import { Chores } from "./chores.ts";
import { type Clock, sleep, systemClock } from "./clock.ts";
import type { Core, Gone } from "./core.ts";
import { createdSandbox, createSandbox } from "./create.ts";
import { decide, NEVER_ABORTED } from "./decide.ts";
import { Expiry } from "./expiry.ts";
import { fork } from "./fork.ts";
import { endedSandbox, Journal } from "./journal.ts";
import { endRunning, handleExit, kill } from "./kill.ts";
import { Ledger } from "./ledger.ts";
import { type Limits, TeamLimits } from "./limits.ts";
import { listSandboxes, listSnapshots } from "./listing.ts";
import { type Logger, silent } from "./log.ts";
import { Sampler } from "./metrics.ts";
import { NodeWatch } from "./nodes.ts";
import { Operations } from "./operations.ts";
import { connect, pause, resume } from "./pause.ts";
import { Placement } from "./placement.ts";
import { Quota } from "./quota.ts";
import { reconcile } from "./reconcile.ts";
import { Repeats } from "./repeat.ts";
import { networkSetter } from "./set-network.ts";
import { createdSnapshot, createSnapshot } from "./snapshot.ts";
import { visibleState } from "./table.ts";
import { deleteTemplate, type PublishedTemplate, registerTemplate, templateAlias } from "./templates.ts";
import { refresh, setTimeoutOf } from "./timeouts.ts";
import type { Control } from "./types.ts";
import { viewSandbox, viewSnapshots } from "./views.ts";

export interface ControlOptions {
	readonly fleet: Fleet;
	readonly node: NodeClient;
	readonly limits?: Partial<Limits>;
	readonly log?: Logger;
	readonly clock?: Clock;
}

/** What the composition root of a server does with control, beside giving it to api and edge. */
export interface ControlLifecycle {
	/**
	 * Settles what an earlier server left, then begins to act on timeouts. Nothing may be asked of control before.
	 * @throws when the node can't say what runs on it
	 */
	start(signal: AbortSignal): Promise<void>;
	/** Publishes a template of the platform, such as `base`, from an artifact that the node has built. */
	registerTemplate(name: string, facts: ArtifactFacts): Promise<PublishedTemplate>;
	/** Ends every running sandbox; paused ones and snapshots stay. @returns how many */
	endRunning(reason: string, signal: AbortSignal): Promise<number>;
	/** From now on operations that were not begun yet are refused as busy. Looking is still possible. */
	refuseNew(): void;
	/**
	 * Refuses new operations, waits for those under way, and stops acting on timeouts. Sandboxes run on and are adopted
	 * by the next server. Fleet and node stay open: they belong to the caller.
	 */
	close(): Promise<void>;
}

const DEFAULT_LIMITS: Limits = { maxTimeoutSeconds: 24 * 3600, maxConcurrent: 1000 };
/** Operations still under way so long after `close` was called are aborted. */
const DRAIN_MS = 30_000;
/** Rows of ended sandboxes are kept so long for their reason to be looked up. */
const KEEP_ENDED_MS = 7 * 24 * 3600 * 1000;
/** An idempotency key stands for its first request so long; shorter than the rows it refers to are kept. */
const KEEP_REQUESTS_MS = 24 * 3600 * 1000;
const PRUNE_EVERY_MS = 3600 * 1000;

/** Reads the fleet; call `start` before anything else. */
export async function createControl(options: ControlOptions): Promise<Control & ControlLifecycle> {
	const { fleet, node, log = silent, clock = systemClock } = options;
	const limits = new TeamLimits(fleet.teams, { ...DEFAULT_LIMITS, ...options.limits });
	const lifetime = new AbortController();
	const listeners = new Set<(gone: Gone) => void>();
	const ledger = new Ledger(fleet, {
		changed: (before, after) => {
			expiry.consider(after);
			journal.noteChange(before, after);
			if (before.state !== "starting") return;
			sampler.noteStart(after);
			nodes.noteStart();
		},
		ended: (before, reason) => journal.noteEnd(before, reason),
		discarded: () => nodes.noteFail(),
	});
	const placement = new Placement();
	const chores = new Chores({ clock, log, signal: lifetime.signal });
	let open = true;
	const refuseNew = () => {
		open = false;
	};
	const assertOpen = () => {
		if (!open) throw new OffshootError("busy", "The server is going down; try again when it is back", { retryAfterSeconds: 5 });
	};
	const core: Core = {
		fleet,
		node,
		clock,
		log,
		limits,
		ledger,
		chores,
		operations: new Operations(lifetime.signal, ({ exit }) => {
			if (exit) chores.inBackground(handleExit(core, exit));
		}),
		placement,
		quota: new Quota({ ledger, node, placement, assertOpen }),
		lifetime: lifetime.signal,
		announceGone: (gone) => {
			for (const listener of listeners) notify(log, listener, gone);
		},
		assertOpen,
	};
	const expiry = new Expiry(core);
	const journal = new Journal(core);
	const sampler = new Sampler(core);
	const nodes = new NodeWatch(core);
	await ledger.load();
	const stopListening = node.onExit((exit) => chores.inBackground(handleExit(core, exit)));
	const stopReading = node.onOutput((output) => journal.noteOutput(output));

	return {
		...requests(core),
		logs: journal,
		metrics: sampler,
		nodes,
		onGone: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		start: async (signal) => {
			await reconcile(core, signal);
			expiry.start();
			await sampler.load();
			sampler.start();
			chores.inBackground(pruneNowAndThen(core));
		},
		registerTemplate: (name, facts) => registerTemplate(core, name, facts),
		endRunning: (reason, signal) => endRunning(core, reason, signal),
		refuseNew,
		close: async () => {
			refuseNew();
			expiry.stop();
			await drained(core);
			lifetime.abort(new OffshootError("busy", "The server is going down; try again when it is back"));
			await core.operations.idle();
			await sampler.stop();
			stopListening();
			stopReading();
			await chores.idle();
			await journal.flush();
		},
	};
}

/** The part of Control that serves requests. */
function requests(core: Core): Omit<Control, "onGone" | "logs" | "metrics" | "nodes"> {
	const { fleet, ledger } = core;
	const repeats = new Repeats(core);
	return {
		accounts: accountsOf(core),
		catalog: catalogOf(core),
		authenticate: async (apiKey) => {
			const key = await fleet.keys.find(apiKey);
			if (!key) return undefined;
			await fleet.keys.touch(key, new Date(core.clock.now()));
			return fleet.teams.get(key.teamId);
		},
		createSandbox: async (team, request, signal, idempotencyKey) => {
			const record = await repeats.once(team, idempotencyKey, {
				asked: { create: request },
				newId: newSandboxId,
				run: (id) => createSandbox(core, team, request, id, signal),
				find: (id) => createdSandbox(core, id),
			});
			return viewSandbox(fleet, record);
		},
		getSandbox: async (team, id) => {
			const go = (record: SandboxRecord) => viewSandbox(fleet, record);
			try {
				return await decide(core, "get", () => ledger.owned(team, id), { go }, NEVER_ABORTED);
			} catch (error) {
				const why = hasCode(error, "not_found") ? await endedSandbox(core, team, id) : undefined;
				throw why === undefined ? error : new OffshootError("not_found", `${sandboxNotFound(id).message}: ${why}`);
			}
		},
		listSandboxes: (team, query) => listSandboxes(core, team, query),
		connectSandbox: async (team, id, request, signal) => {
			const { record, resumed } = await connect(core, team, id, request, signal);
			return { sandbox: await viewSandbox(fleet, record), resumed };
		},
		resumeSandbox: async (team, id, request, signal) => viewSandbox(fleet, await resume(core, team, id, request, signal)),
		pauseSandbox: (team, id, request, signal) => pause(core, team, id, request, signal),
		killSandbox: (team, id, signal) => kill(core, team, id, signal),
		setTimeout: (team, id, timeout) => setTimeoutOf(core, team, id, timeout),
		refreshSandbox: (team, id, duration) => refresh(core, team, id, duration),
		setNetwork: networkSetter(core),
		forkSandbox: (team, id, count, timeout, signal) => fork(core, team, id, { count, timeout, signal }),
		createSnapshot: async (team, id, request, signal, idempotencyKey) => {
			const record = await repeats.once(team, idempotencyKey, {
				asked: { snapshot: id, ...request },
				newId: newBuildId,
				run: (artifactId) => createSnapshot(core, team, id, request, artifactId, signal),
				find: (artifactId) => createdSnapshot(core, request, artifactId),
			});
			const [view] = await viewSnapshots(fleet, [record]);
			if (!view) throw new Error("a snapshot has a view");
			return view;
		},
		listSnapshots: (team, query) => listSnapshots(core, team, query),
		deleteTemplate: (team, ref) => deleteTemplate(core, team, ref),
		templateAlias: (team, alias) => templateAlias(core, team, alias),
		admit: (request, signal) => admit(core, request, signal),
		signedUrlCandidates: () => signedUrlCandidates(ledger),
		stats: async () => countStates(ledger),
	};
}

function* signedUrlCandidates(ledger: Ledger): Generator<{ readonly sandboxId: string; readonly accessToken: string }> {
	for (const { id, state, autoResume, accessToken } of ledger.all()) {
		if (accessToken === undefined || state === "starting") continue;
		if (visibleState(state) === "running" || autoResume) yield { sandboxId: id, accessToken };
	}
}

function countStates(ledger: Ledger): { readonly running: number; readonly paused: number } {
	const counts = { running: 0, paused: 0 };
	for (const { state } of ledger.all()) {
		if (state !== "starting") counts[visibleState(state)]++;
	}
	return counts;
}

function notify(log: Logger, listener: (gone: Gone) => void, gone: Gone): void {
	try {
		listener(gone);
	} catch (error) {
		log.error({ err: error, ...gone }, "a listener failed");
	}
}

async function drained(core: Core): Promise<void> {
	const enough = new AbortController();
	const timeout = sleep(core.clock, DRAIN_MS, enough.signal).catch(() => undefined);
	await Promise.race([core.operations.idle(), timeout]);
	enough.abort();
}

async function pruneNowAndThen(core: Core): Promise<void> {
	while (!core.lifetime.aborted) {
		await core.fleet.sandboxes.prune(new Date(core.clock.now() - KEEP_ENDED_MS));
		await core.fleet.requests.prune(new Date(core.clock.now() - KEEP_REQUESTS_MS));
		await sleep(core.clock, PRUNE_EVERY_MS, core.lifetime).catch(() => undefined);
	}
}
