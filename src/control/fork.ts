/**
 * Forks: one capture of the source, then any number of new sandboxes from it. The image belongs to no template and is
 * in no list; it goes when the last fork has started or failed, since a started sandbox no longer reads it. A fork is
 * based on the artifact that its source is based on, which therefore stays.
 */
import { randomUUID } from "node:crypto";
import type { SandboxRecord } from "../fleet/index.ts";
import type { ArtifactFacts } from "../node/index.ts";
import { newBuildId, newSandboxId, OffshootError } from "../protocol/index.ts";
import { type Core, deleteArtifact, now, unlessKilled } from "./core.ts";
import { launch, newTokens } from "./create.ts";
import { decide } from "./decide.ts";
import { endSandbox } from "./kill.ts";
import type { Limits } from "./limits.ts";
import { capture, release } from "./snapshot.ts";
import { allowedTimeout, endAfter } from "./timeouts.ts";
import type { ForkResult, Team, Timeout } from "./types.ts";
import { viewSandbox } from "./views.ts";

const MAX_COUNT = 100;

/**
 * @param timeout of each fork, s
 * @throws OffshootError invalid_request, not_found, conflict; too_many or busy where there is no room for any of them. The
 * failure of one fork is in its result instead
 */
export async function fork(
	core: Core,
	team: Team,
	sandboxId: string,
	options: { readonly count: number; readonly timeout: Timeout; readonly signal: AbortSignal },
): Promise<readonly ForkResult[]> {
	core.assertOpen();
	const limits = await core.limits.of(team.id);
	assertCount(limits, options.count);
	const timeout = allowedTimeout(limits, options.timeout);
	const image = await captureForForks(core, team, { sandboxId, limits, signal: options.signal });
	try {
		const forks = Array.from({ length: options.count }, () => startFork(core, { ...image, limits }, timeout, options.signal));
		const results = await Promise.all(forks);
		if (options.signal.aborted) await endAll(core, results);
		options.signal.throwIfAborted();
		return results;
	} finally {
		await deleteArtifact(core, image.facts.artifactId);
	}
}

interface ForkImage {
	readonly source: SandboxRecord;
	readonly facts: ArtifactFacts;
}

function captureForForks(
	core: Core,
	team: Team,
	{ sandboxId, limits, signal }: { readonly sandboxId: string; readonly limits: Limits; readonly signal: AbortSignal },
): Promise<ForkImage> {
	const commit = async (source: SandboxRecord, facts: ArtifactFacts): Promise<ForkImage> => {
		core.ledger.accept(await release(core.fleet, source));
		return { source, facts };
	};
	return decide(
		core,
		"fork",
		() => core.ledger.owned(team, sandboxId),
		{
			go: (record) =>
				core.operations.begin(record.id, "snapshotting", async (operation) => {
					await assertRoomForOne(core, record, limits, AbortSignal.any([signal, operation.signal]));
					const what = { artifactId: newBuildId(), memory: true, envs: record.envs, signal, commit };
					return capture(core, operation, record, what);
				}),
		},
		signal,
	);
}

/** Takes a place and gives it back: where not even one fork could start, the source need not stand still for it. */
function assertRoomForOne(core: Core, { teamId }: SandboxRecord, { maxConcurrent }: Limits, signal: AbortSignal): Promise<void> {
	return core.quota.within({ teamId, maxConcurrent }, signal, async () => {});
}

async function startFork(
	core: Core,
	image: ForkImage & { readonly limits: Limits },
	timeout: number,
	signal: AbortSignal,
): Promise<ForkResult> {
	try {
		const from = { imageId: image.facts.artifactId, limits: image.limits };
		const record = await launch(core, draftFork(core, image.source, timeout), from, signal);
		return { sandbox: await viewSandbox(core.fleet, record) };
	} catch (error) {
		if (error instanceof OffshootError) return { error: { code: error.httpStatus, message: error.message } };
		if (!signal.aborted) core.log.error({ err: error, sandboxId: image.source.id }, "fork could not be started");
		return { error: { code: 500, message: "The fork could not be started; the server's log has the reason" } };
	}
}

/** Nobody would learn the ids of forks whose caller has left. */
async function endAll(core: Core, results: readonly ForkResult[]): Promise<void> {
	const started = results.flatMap((result) => ("sandbox" in result ? [result.sandbox.sandboxId] : []));
	await Promise.all(
		started.map((id) => unlessKilled(endSandbox(core, id, { reason: "the request that forked it was given up" }))),
	);
}

/** A new sandbox that takes over everything of its source but its id, tokens and times. */
function draftFork(core: Core, source: SandboxRecord, timeout: number): SandboxRecord {
	const createdAt = now(core);
	return {
		...source,
		...newTokens(source.accessToken !== undefined, source.network),
		id: newSandboxId(),
		state: "starting",
		incarnation: 1,
		operationId: randomUUID(),
		pendingArtifactId: undefined,
		pauseArtifactId: undefined,
		address: undefined,
		timeoutSeconds: timeout,
		createdAt,
		startedAt: createdAt,
		endAt: endAfter(createdAt, timeout),
		revision: 0,
	};
}

function assertCount({ maxConcurrent }: Limits, count: number): void {
	const invalid = (message: string) => new OffshootError("invalid_request", message);
	if (!(count >= 1)) throw invalid("Count must be at least 1");
	if (count > MAX_COUNT) throw invalid(`Count cannot be greater than ${MAX_COUNT}`);
	if (count >= maxConcurrent) {
		throw invalid(`Count must be less than the ${maxConcurrent} sandboxes that your team may run at a time`);
	}
}
