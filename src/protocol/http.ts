/** Rules of HTTP that every proxy of this project keeps, whichever way the traffic goes. */

/** What a proxy may send again by itself. Source: RFC 9110 §9.2.2. */
export const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]);

/** Requests of a client in HTTP/2 over an upgraded connection would be seen by no proxy on the way. */
const UNSEEN = "h2c";

/**
 * The protocols of an `Upgrade` field that a proxy may offer the other side, as such a field; empty when it may none.
 * A sender may offer several in one field.
 */
export function offeredProtocols(upgrade: string | undefined): string {
	const offered = (upgrade ?? "").split(",").map((protocol) => protocol.trim());
	return offered.filter((protocol) => protocol !== "" && protocol.toLowerCase() !== UNSEEN).join(", ");
}
