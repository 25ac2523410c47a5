/** Meaning of a sandbox's network options: which are allowed together, and what they come to on the host. */
import { isIP, isIPv4 } from "node:net";
import type { EgressPolicy } from "../engine/index.ts";
import { AGENT_PORT, OffshootError } from "../protocol/index.ts";
import type { NetworkOptions } from "./types.ts";

const ALL_TRAFFIC = "0.0.0.0/0";
const ALL_TRAFFIC_V6 = "::/0";
const MAX_HTTPS_PORTS = 128;
const MASK_HOST = /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?(:\d{1,5})?$/;

function invalid(message: string): OffshootError {
	return new OffshootError("invalid_request", message);
}

/** @throws OffshootError invalid_request, not_implemented */
export function assertNetwork(network: NetworkOptions, secure: boolean): void {
	if (network.allowPublicTraffic === false && !secure) {
		throw invalid("network.allowPublicTraffic: false needs a secured sandbox; create it with secure: true");
	}
	for (const entry of network.denyOut ?? []) {
		if (!isAddress(entry)) throw invalid(`network.denyOut: '${entry}' is neither an IP address nor a CIDR`);
	}
	assertAllowOut(network);
	assertMaskHost(network.maskRequestHost);
	assertHttpsPorts(network.httpsPorts ?? []);
}

/** What the host enforces. IPv6 is closed for every sandbox, so denying it takes nothing. */
export function toEgress(network: NetworkOptions | undefined, allowInternetAccess: boolean | undefined): EgressPolicy {
	const deny = network?.denyOut ?? [];
	return {
		internet: allowInternetAccess !== false && !deny.includes(ALL_TRAFFIC),
		allowCidrs: (network?.allowOut ?? []).map(toCidr),
		denyCidrs: deny.filter((entry) => isIPv4Entry(entry) && entry !== ALL_TRAFFIC).map(toCidr),
	};
}

function assertAllowOut(network: NetworkOptions): void {
	for (const entry of network.allowOut ?? []) {
		if (isIPv4Entry(entry)) continue;
		if (isAddress(entry)) throw invalid(`network.allowOut: '${entry}': sandboxes have no IPv6; name an IPv4 address or CIDR`);
		if (!network.denyOut?.includes(ALL_TRAFFIC)) {
			throw invalid(`network.allowOut: the domain '${entry}' needs network.denyOut to contain '${ALL_TRAFFIC}'`);
		}
		throw new OffshootError(
			"not_implemented",
			`network.allowOut: rules for domains such as '${entry}' are not available yet; name IPv4 addresses or CIDRs`,
		);
	}
}

function assertMaskHost(host: string | undefined): void {
	if (host === undefined) return;
	if (!MASK_HOST.test(host.replaceAll("$" + "{PORT}", "1"))) {
		throw invalid(`network.maskRequestHost: '${host.slice(0, 300)}' is not a host with an optional port`);
	}
}

function assertHttpsPorts(ports: readonly number[]): void {
	if (ports.length > MAX_HTTPS_PORTS) throw invalid(`network.httpsPorts may have ${MAX_HTTPS_PORTS} entries at most`);
	if (new Set(ports).size !== ports.length) throw invalid("network.httpsPorts has a port twice");
	for (const port of ports) {
		if (!Number.isInteger(port) || port < 1 || port > 65535 || port === AGENT_PORT) {
			throw invalid(`network.httpsPorts: ${port} is not a port from 1 to 65535 other than ${AGENT_PORT}`);
		}
	}
}

function isAddress(entry: string): boolean {
	if (entry === ALL_TRAFFIC_V6) return true;
	const [address = "", prefix, ...rest] = entry.split("/");
	const version = isIP(address);
	if (version === 0 || rest.length > 0) return false;
	return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

function isIPv4Entry(entry: string): boolean {
	return isAddress(entry) && isIPv4(entry.split("/")[0] ?? "");
}

function toCidr(entry: string): string {
	return entry.includes("/") ? entry : `${entry}/32`;
}
