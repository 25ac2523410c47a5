/** Turns control's decision about a request into a guest to talk to, or into the answer for the client. */
import type { Admission, Control } from "../control/index.ts";
import { AGENT_PORT, CONTROL_PORT, isPreflight, isSameSecret, OffshootError } from "../protocol/index.ts";
import * as answers from "./answers.ts";
import type { Plan } from "./asking.ts";
import type { ClientRequest } from "./client.ts";
import { isControlOnlyPath } from "./control-paths.ts";
import type { Guest, Guests } from "./guests.ts";
import { findSigner, isExpired, type SignedFileRequest, signedFileRequest } from "./signed-files.ts";
import {
	type Destination,
	destinationOf,
	hasRoutingHeaders,
	isSandboxHost,
	resolveTarget,
	type SandboxTarget,
} from "./target.ts";

export type EdgeControl = Pick<Control, "admit" | "signedUrlCandidates" | "onGone">;

/** Where a request goes, before anybody was asked whether it may. */
interface Located {
	readonly target: SandboxTarget;
	readonly destination: Destination;
	readonly accessToken: string | undefined;
}

export type Verdict = { readonly guest: Guest; readonly plan: Plan } | { readonly answer: answers.Answer };

/** How often a request is admitted anew when its guest ends between the decision and the first byte. */
const ADMISSIONS = 3;
const PORT_PLACEHOLDER = /\$\{PORT\}/g;

export class Admissions {
	readonly #control: EdgeControl;
	readonly #guests: Guests;
	readonly #connectionLimit: number;

	constructor(control: EdgeControl, guests: Guests, connectionLimit: number) {
		this.#control = control;
		this.#guests = guests;
		this.#connectionLimit = connectionLimit;
	}

	/** @param signal ends the waiting, not what control does meanwhile: other requests may wait for the same resume */
	async judge(req: ClientRequest, signal: AbortSignal): Promise<Verdict> {
		const located = this.#locate(req);
		if ("answer" in located) return located;
		try {
			return await this.#admit(req, located, signal);
		} catch (error) {
			if (signal.aborted) return { answer: answers.shuttingDown(located.target.sandboxId) };
			if (!(error instanceof OffshootError)) throw error;
			const answer = answers.failed(located.target.sandboxId, error.httpStatus, error.message);
			const { retryAfterSeconds, shouldRetry } = error.details;
			const advice = {
				...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
				...(shouldRetry !== undefined && { shouldRetry }),
			};
			return { answer: { ...answer, ...advice } };
		}
	}

	#locate(req: ClientRequest): Located | { readonly answer: answers.Answer } {
		const destination = destinationOf(req);
		if (destination === undefined) return { answer: answers.invalidTarget("Invalid host") };
		const signed = signedFileRequest(req, destination.path);
		if (signed !== undefined && !isAddressed(req, destination)) {
			const signer = findSigner(signed, this.#control.signedUrlCandidates());
			if (signer === undefined) return { answer: answers.invalidSignature };
			const target = { sandboxId: signer.sandboxId, port: AGENT_PORT };
			return { target, destination, accessToken: isExpired(signed) ? undefined : signer.accessToken };
		}

		const target = resolveTarget(req, destination.hostname);
		if ("invalid" in target) return { answer: answers.invalidTarget(target.invalid) };
		if (target.port === CONTROL_PORT) return { answer: answers.reservedPort(target.sandboxId, target.port) };
		if (target.port === AGENT_PORT && isControlOnlyPath(destination.path)) {
			return { answer: answers.controlOnlyPath(destination.path) };
		}
		const given = single(req.headers["x-access-token"]);
		const signs = given === undefined && signed !== undefined && target.port === AGENT_PORT;
		return { target, destination, accessToken: signs ? this.#signersToken(signed, target.sandboxId) : given };
	}

	/** What a signature proves the knowledge of: it may wake the sandbox that it is for, as the token may. */
	#signersToken(signed: SignedFileRequest, sandboxId: string): string | undefined {
		if (isExpired(signed)) return undefined;
		for (const candidate of this.#control.signedUrlCandidates()) {
			if (candidate.sandboxId === sandboxId) return findSigner(signed, [candidate])?.accessToken;
		}
		return undefined;
	}

	async #admit(req: ClientRequest, { target, destination, accessToken }: Located, signal: AbortSignal): Promise<Verdict> {
		const trafficToken = single(req.headers["e2b-traffic-access-token"]);
		// On other ports the guest's own programs say what pages may send.
		const preflight = target.port === AGENT_PORT && isPreflight(req);
		for (let tries = 0; tries < ADMISSIONS; tries++) {
			const admission = await this.#control.admit({ ...target, accessToken, trafficToken, preflight }, signal);
			if (admission.kind === "asleep") return { answer: answers.preflight(req) };
			const refusal = refusalOf(admission, target, trafficToken);
			if (refusal !== undefined) return { answer: refusal };
			if (admission.kind !== "proxy") continue;
			const guest = this.#guests.find({ ...admission, sandboxId: target.sandboxId });
			if (guest === undefined) continue;
			if (guest.flowCount >= this.#connectionLimit) {
				return { answer: answers.tooManyConnections(target.sandboxId, this.#connectionLimit) };
			}
			const maskedHost = admission.maskRequestHost?.replaceAll(PORT_PLACEHOLDER, String(target.port));
			return { guest, plan: { ...target, path: destination.path, authority: destination.authority, maskedHost } };
		}
		return { answer: answers.sandboxNotFound(target.sandboxId) };
	}
}

/** True when the request itself names its sandbox. */
export function isAddressed(req: ClientRequest, { hostname }: Destination): boolean {
	return isSandboxHost(hostname) || hasRoutingHeaders(req);
}

function refusalOf(
	admission: Exclude<Admission, { kind: "asleep" }>,
	target: SandboxTarget,
	trafficToken: string | undefined,
): answers.Answer | undefined {
	switch (admission.kind) {
		case "proxy":
			return target.port === AGENT_PORT ? undefined : trafficRefusal(admission.trafficToken, target.sandboxId, trafficToken);
		case "not-found":
			return answers.sandboxNotFound(target.sandboxId);
		case "forbidden":
			return answers.resumeForbidden(target.sandboxId);
		case "transitioning":
			return answers.stillTransitioning(target.sandboxId);
		case "limit":
			return answers.limitReached(target.sandboxId, admission.message);
	}
}

function trafficRefusal(wanted: string | undefined, sandboxId: string, given: string | undefined): answers.Answer | undefined {
	if (wanted === undefined) return undefined;
	if (given === undefined) return answers.trafficTokenMissing(sandboxId);
	return isSameSecret(given, wanted) ? undefined : answers.trafficTokenInvalid(sandboxId);
}

function single(value: string | string[] | undefined): string | undefined {
	return typeof value === "string" ? value : undefined;
}
