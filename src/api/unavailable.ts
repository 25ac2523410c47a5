/** Options that are known but not there yet. Ignoring one would give its sender less than was asked for, silently. */
import type { Static } from "typebox";
import { OffshootError } from "../protocol/index.ts";
import type { NetworkUpdate, NewSandbox } from "./schemas.ts";

function unavailable(field: string, what: string): OffshootError {
	return new OffshootError("not_implemented", `${field}: ${what} not available in this version; leave it out`);
}

/** @throws OffshootError invalid_request, not_implemented */
export function assertAvailable(body: Static<typeof NewSandbox>): void {
	assertPlainProxy("network.egressProxy", body.network?.egressProxy);
	if (body.mcp !== undefined) throw unavailable("mcp", "the MCP gateway is");
	if (body.iam !== undefined) throw unavailable("iam", "identity tokens are");
	if ((body.volumeMounts ?? []).length > 0) throw unavailable("volumeMounts", "volumes are");
}

/**
 * A SOCKS proxy that is to be spoken to in TLS: its password would go in the clear.
 * @throws OffshootError not_implemented
 */
export function assertPlainProxy(field: string, proxy: Static<typeof NetworkUpdate>["egressProxy"]): void {
	const { tls } = proxy ?? {};
	const off = tls === undefined || tls === null || (typeof tls === "object" && "enabled" in tls && tls.enabled === false);
	if (!off) throw unavailable(`${field}.tls`, "TLS to the SOCKS proxy is");
}
