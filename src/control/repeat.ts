/**
 * Requests with an idempotency key: however often one is sent, it is carried out once, and every answer is the first.
 * The key is durable before the work begins, together with the id of what the work will make. Whether the request has
 * succeeded is therefore asked of the sandboxes and builds themselves, so a crash at any moment leaves nothing to guess:
 * what was made is found, and a request that left nothing may be carried out again. One that failed gives its key back.
 */
import { createHash } from "node:crypto";
import { OffshootError } from "../protocol/index.ts";
import type { Core } from "./core.ts";
import { now } from "./core.ts";
import type { Team } from "./types.ts";

export interface RepeatableWork<T> {
	/** Everything that makes two requests the same. */
	readonly asked: unknown;
	/** For what will be made, should the request be carried out. */
	readonly newId: () => string;
	readonly run: (id: string) => Promise<T>;
	/** What a request has made under this id; "unsettled" while that can't be told. */
	readonly find: (id: string) => Promise<T | "unsettled" | undefined>;
}

/** Source of form and error codes: REST wire protocol of E2B. */
const KEY = /^[a-z0-9-]{1,255}$/;
const RETRY_SECONDS = 1;

export class Repeats {
	readonly #core: Core;
	/** Fingerprints of what is under way, by team and key. */
	readonly #underWay = new Map<string, string>();

	constructor(core: Core) {
		this.#core = core;
	}

	/**
	 * Carries the work out once per key of the team; without a key, always.
	 * @throws OffshootError invalid_request; conflict with error code `idempotency_request_mismatch`,
	 * `idempotency_in_progress` or `idempotency_outcome_unknown`; and whatever the work throws
	 */
	async once<T>(team: Team, key: string | undefined, work: RepeatableWork<T>): Promise<T> {
		if (key === undefined) return work.run(work.newId());
		if (!KEY.test(key))
			throw new OffshootError("invalid_request", "Idempotency-Key must be 1 to 255 characters of a-z, 0-9 and -");
		const fingerprint = fingerprintOf(work.asked);
		const place = `${team.id} ${key}`;
		const other = this.#underWay.get(place);
		if (other !== undefined) throw other === fingerprint ? inProgress() : mismatch();
		// From here to `finally` this request is the only one with the key.
		this.#underWay.set(place, fingerprint);
		try {
			return await this.#carryOut({ teamId: team.id, key, fingerprint }, work);
		} finally {
			this.#underWay.delete(place);
		}
	}

	async #carryOut<T>(
		request: { readonly teamId: string; readonly key: string; readonly fingerprint: string },
		work: RepeatableWork<T>,
	): Promise<T> {
		const { requests } = this.#core.fleet;
		const known = await requests.find(request.teamId, request.key);
		if (known && known.fingerprint !== request.fingerprint) throw mismatch();
		const before = known && (await work.find(known.resultId));
		if (before === "unsettled") throw outcomeUnknown();
		if (before !== undefined) return before;

		const claim = { ...request, resultId: work.newId(), createdAt: now(this.#core) };
		await this.#core.fleet.transaction(async (repositories) => {
			if (known) await repositories.requests.remove({ ...request, resultId: known.resultId });
			await repositories.requests.insert(claim);
		});
		try {
			return await work.run(claim.resultId);
		} catch (error) {
			// A key that can't be given back now is found to stand for nothing when it is used again.
			if ((await work.find(claim.resultId).catch(() => "unsettled")) === undefined) {
				await requests.remove(claim).catch(() => undefined);
			}
			throw error;
		}
	}
}

function fingerprintOf(asked: unknown): string {
	return createHash("sha256").update(JSON.stringify(asked, sortedKeys)).digest("hex");
}

/** The order of an object's fields says nothing. */
function sortedKeys(_name: string, value: unknown): unknown {
	if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
	return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function mismatch(): OffshootError {
	return new OffshootError("conflict", "This Idempotency-Key was used for another request; use a new key", {
		errorCode: "idempotency_request_mismatch",
		shouldRetry: false,
	});
}

function inProgress(): OffshootError {
	return new OffshootError("conflict", "The first request with this Idempotency-Key is still under way; ask again in a moment", {
		errorCode: "idempotency_in_progress",
		retryAfterSeconds: RETRY_SECONDS,
		shouldRetry: true,
	});
}

function outcomeUnknown(): OffshootError {
	return new OffshootError(
		"conflict",
		"What became of the first request with this Idempotency-Key is not settled yet; ask again later, or use a new key",
		{ errorCode: "idempotency_outcome_unknown", shouldRetry: false },
	);
}
