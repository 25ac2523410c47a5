/**
 * Which sandbox and port a request means: read from the Host header (`<port>-<id>.<domain>`) or from the two routing
 * headers. Guarantees that a port is a plain decimal number from 1 to 65535 and an id is well formed, so nothing
 * further on has to doubt them, and that a request with two opinions about its host is refused.
 */
import { isIssuedSandboxId, isSandboxId } from "../protocol/index.ts";
import type { ClientRequest } from "./client.ts";
import { fields } from "./fields.ts";

export interface SandboxTarget {
	readonly sandboxId: string;
	readonly port: number;
}

export interface InvalidTarget {
	/** Text of the 400 answer. */
	readonly invalid: string;
}

export type Resolution = SandboxTarget | InvalidTarget;

const ID_HEADER = "e2b-sandbox-id";
const PORT_HEADER = "e2b-sandbox-port";
const PORT = /^[1-9]\d{0,4}$/;
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/i;

/** Host name of a request (lower case, without port) and its path with query. */
export interface Destination {
	/** As the client wrote it, with its port. */
	readonly authority: string;
	readonly hostname: string;
	readonly path: string;
}

/**
 * Reads where a request wants to go. The authority of an absolute-form target replaces the Host header (RFC 9112 §3.2.2).
 * Undefined when the request names more than one host.
 */
export function destinationOf(req: ClientRequest): Destination | undefined {
	const named = namedHosts(req.rawHeaders);
	if (named === undefined) return undefined;

	const url = req.url ?? "/";
	const absolute = ABSOLUTE_FORM.exec(url);
	const authority = absolute?.[1] ?? named;
	const path = absolute === null ? url : originForm(absolute[2] ?? "");
	return { authority, hostname: hostnameOf(authority), path };
}

/** What Host, or with HTTP/2 also `:authority`, say; undefined when that is not one host. */
function namedHosts(rawHeaders: readonly string[]): string | undefined {
	let host: string | undefined;
	let authority: string | undefined;
	for (const [name, value] of fields(rawHeaders)) {
		if (name === ":authority") authority = value;
		if (name.length !== 4 || name.toLowerCase() !== "host") continue;
		if (host !== undefined) return undefined;
		host = value;
	}
	if (authority !== undefined && host !== undefined && authority !== host) return undefined;
	return authority ?? host ?? "";
}

function originForm(rest: string): string {
	return rest.startsWith("/") ? rest : `/${rest}`;
}

function hostnameOf(authority: string): string {
	const host = authority.trim().toLowerCase();
	if (host.startsWith("[")) return host.slice(0, host.indexOf("]") + 1);
	const colon = host.indexOf(":");
	return colon < 0 ? host : host.slice(0, colon);
}

/**
 * True for a host of the form `<digits>-<id>[-…].<domain>`: such a name always wins over routing headers. An id is told by
 * its form, since a server may have any name of its own: `10-0-0-5.nip.io`, `2-node.example.com`.
 */
export function isSandboxHost(hostname: string): boolean {
	const dot = hostname.indexOf(".");
	const [port = "", sandboxId = ""] = hostname.slice(0, Math.max(0, dot)).split("-");
	return /^\d+$/.test(port) && isIssuedSandboxId(sandboxId);
}

export function hasRoutingHeaders(req: ClientRequest): boolean {
	return req.headers[ID_HEADER] !== undefined || req.headers[PORT_HEADER] !== undefined;
}

/**
 * Finds the sandbox and port a request means. Routing headers count on every host that is not itself the name of a
 * sandbox: a machine is often reached by a name of its own, which can mean no sandbox.
 */
export function resolveTarget(req: ClientRequest, hostname: string): Resolution {
	if (isSandboxHost(hostname)) return fromHost(hostname);
	if (hasRoutingHeaders(req)) return fromHeaders(req);
	return fromHost(hostname);
}

function fromHeaders(req: ClientRequest): Resolution {
	const sandboxId = req.headers[ID_HEADER];
	const port = req.headers[PORT_HEADER];
	if (typeof sandboxId !== "string" || typeof port !== "string") return { invalid: "missing header" };
	return checked(withoutClientId(sandboxId), port);
}

function fromHost(hostname: string): Resolution {
	const [label = "", ...rest] = hostname.split(".");
	const [port, sandboxId] = label.split("-");
	if (rest.length === 0 || port === undefined || sandboxId === undefined) return { invalid: "Invalid host" };
	return checked(sandboxId, port);
}

/** Older clients append their client id after a dash, in hosts and headers alike. */
function withoutClientId(sandboxId: string): string {
	const [id = ""] = sandboxId.split("-");
	return id;
}

function checked(sandboxId: string, port: string): Resolution {
	if (!isSandboxId(sandboxId)) return { invalid: "Invalid sandbox ID" };
	if (!PORT.test(port) || Number(port) > 65_535) return { invalid: "Invalid sandbox port" };
	return { sandboxId, port: Number(port) };
}
