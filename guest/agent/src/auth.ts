/** Access token and signatures of file URLs. Source: E2B wire protocol. */
import { createHash } from "node:crypto";
import { isSameSecret } from "../../../src/protocol/index.ts";
import { HttpError } from "./errors.ts";

const UNAUTHORIZED = "unauthorized access, please provide a valid access token or method signing if supported";

/** @throws HttpError 401 unless the sandbox is open or the header carries its token */
export function checkToken(expected: string | undefined, header: string | undefined): void {
	if (expected === undefined) return;
	if (header === undefined || !isSameSecret(header, expected)) throw new HttpError(401, UNAUTHORIZED);
}

export interface SignedAccess {
	readonly operation: "read" | "write";
	/** Value of the X-Access-Token header. */
	readonly header: string | undefined;
	readonly query: URLSearchParams;
	/** s since the epoch */
	readonly now: number;
}

/** `v1_` and the unpadded base64 of SHA-256 over path, operation, user, token and expiration. */
export function signature(token: string, operation: string, query: URLSearchParams): string {
	const parts = [query.get("path") ?? "", operation, query.get("username") ?? "", token];
	const expiration = query.get("signature_expiration");
	if (expiration !== null) parts.push(expiration);
	const digest = createHash("sha256").update(parts.join(":")).digest("base64");
	return `v1_${digest.replace(/=+$/, "")}`;
}

/** A request for files needs the token in a header or a signature in the query. @throws HttpError 401 */
export function checkSignedAccess(token: string | undefined, access: SignedAccess): void {
	if (token === undefined) return;
	if (access.header !== undefined) {
		if (!isSameSecret(access.header, token)) throw new HttpError(401, "access token present in header but does not match");
		return;
	}
	const given = access.query.get("signature");
	if (given === null) throw new HttpError(401, "missing signature query parameter");
	if (!isSameSecret(given, signature(token, access.operation, access.query))) throw new HttpError(401, "invalid signature");
	const expiration = access.query.get("signature_expiration");
	if (expiration !== null && !(Number(expiration) >= access.now)) {
		throw new HttpError(401, "signature is already expired");
	}
}
