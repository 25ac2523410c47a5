/** Options that are known but not there yet. Ignoring one would give its sender less than was asked for, silently. */
import type { Static } from "typebox";
import { OffshootError } from "../protocol/index.ts";
import type { NewSandbox } from "./schemas.ts";

function unavailable(field: string, what: string): OffshootError {
	return new OffshootError("not_implemented", `${field}: ${what} not available in this version; leave it out`);
}

/** @throws OffshootError invalid_request, not_implemented */
export function assertAvailable(body: Static<typeof NewSandbox>): void {
	assertNoRules("network.rules", body.network?.rules);
	if (body.iam !== undefined) throw unavailable("iam", "identity tokens are");
	if ((body.volumeMounts ?? []).length > 0) throw unavailable("volumeMounts", "volumes are");
}

/** Header rules; an empty set of them asks for nothing. @throws OffshootError not_implemented */
export function assertNoRules(field: string, rules: unknown): void {
	const isEmpty = typeof rules === "object" && rules !== null && Object.keys(rules).length === 0;
	if (rules !== undefined && !isEmpty) throw unavailable(field, "header rules are");
}
