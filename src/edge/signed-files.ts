/**
 * Signed upload and download URLs, which stand for the sandbox's token. Some name no sandbox: a client that reaches the
 * proxy under one address for all sandboxes builds such URLs; the signature is made with the sandbox's 256-bit token, so
 * a match names exactly one.
 */
import { createHash } from "node:crypto";
import { isSameSecret } from "../protocol/index.ts";
import type { ClientRequest } from "./client.ts";

export interface SignedFileRequest {
	readonly path: string;
	readonly user: string;
	readonly operation: "read" | "write";
	readonly signature: string;
	readonly expiration: string | undefined;
}

interface Candidate {
	readonly sandboxId: string;
	readonly accessToken: string;
}

/** Reads a signed file request; undefined when the URL is none. */
export function signedFileRequest(req: ClientRequest, url: string): SignedFileRequest | undefined {
	const question = url.indexOf("?");
	if (question < 0 || url.slice(0, question) !== "/files") return undefined;
	const query = new URLSearchParams(url.slice(question + 1));
	const signature = query.get("signature");
	if (signature === null) return undefined;
	return {
		path: query.get("path") ?? "",
		user: query.get("username") ?? "",
		operation: operationOf(req),
		signature,
		expiration: query.get("signature_expiration") ?? undefined,
	};
}

function operationOf(req: ClientRequest): "read" | "write" {
	const method = req.method === "OPTIONS" ? req.headers["access-control-request-method"] : req.method;
	return method === "POST" ? "write" : "read";
}

/** Source: envd wire protocol, signatures of version 1. */
export function signatureFor(request: Omit<SignedFileRequest, "signature">, accessToken: string): string {
	const parts = [request.path, request.operation, request.user, accessToken];
	if (request.expiration !== undefined) parts.push(request.expiration);
	const digest = createHash("sha256").update(parts.join(":")).digest("base64");
	return `v1_${digest.replace(/=+$/, "")}`;
}

/** True when it is too late to wake a sandbox for it; one that runs answers by itself, in its agent's words. */
export function isExpired({ expiration }: SignedFileRequest): boolean {
	return expiration !== undefined && Number(expiration) * 1000 < Date.now();
}

/** The sandbox whose token made the signature. Whether it has expired is for the sandbox's own agent to say. */
export function findSigner<T extends Candidate>(request: SignedFileRequest, candidates: Iterable<T>): T | undefined {
	for (const candidate of candidates) {
		if (isSameSecret(request.signature, signatureFor(request, candidate.accessToken))) return candidate;
	}
	return undefined;
}
