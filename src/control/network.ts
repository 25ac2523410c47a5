/** Meaning of a sandbox's network options: which are allowed together, and what they come to on the host. */
import { isIP, isIPv4 } from "node:net";
import { type EgressPolicy, isDomainPattern, isHostName, type SocksProxy } from "../engine/index.ts";
import type { NetworkRecord } from "../fleet/index.ts";
import { AGENT_PORT, OffshootError } from "../protocol/index.ts";
import { assertRules, normalRules, withHeaderRules } from "./header-rules.ts";
import type { EgressProxyOptions, NetworkOptions, NetworkUpdate } from "./types.ts";

const ALL_TRAFFIC = "0.0.0.0/0";
const MAX_ENTRIES = 1000;
const MAX_HTTPS_PORTS = 128;
/** Bytes of a user name or password. Source: RFC 1929. */
const MAX_CREDENTIAL_BYTES = 255;
const MASK_HOST = /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?(:\d{1,5})?$/;

function invalid(message: string): OffshootError {
	return new OffshootError("invalid_request", message);
}

/** What else of a sandbox decides which of its network options go together. */
export interface NetworkSetting {
	readonly secure: boolean;
	/** False counts as the denial of everything. */
	readonly allowInternetAccess?: boolean | undefined;
}

/** @throws OffshootError invalid_request */
export function assertNetwork(network: NetworkOptions, { secure, allowInternetAccess }: NetworkSetting): void {
	if (network.allowPublicTraffic === false && !secure) {
		throw invalid("network.allowPublicTraffic: false needs a secured sandbox; create it with secure: true");
	}
	assertDenyOut(network.denyOut ?? []);
	assertAllowOut(network.allowOut ?? [], allowInternetAccess === false || (network.denyOut ?? []).includes(ALL_TRAFFIC));
	assertMaskHost(network.maskRequestHost);
	assertHttpsPorts(network.httpsPorts ?? []);
	if (network.egressProxy) assertEgressProxy(network.egressProxy);
	assertRules(network.rules ?? {});
}

/** What the host enforces. IPv6 is closed for every sandbox, so denying it takes nothing. */
export function toEgress(network: NetworkOptions | undefined, allowInternetAccess: boolean | undefined): EgressPolicy {
	const deny = network?.denyOut ?? [];
	const allow = network?.allowOut ?? [];
	const domains = allow.filter((entry) => !isAddress(entry)).map((entry) => entry.toLowerCase());
	return {
		internet: allowInternetAccess !== false && !deny.includes(ALL_TRAFFIC),
		allowCidrs: allow.filter(isAddress).map(toCidr),
		denyCidrs: deny.filter((entry) => isIPv4Entry(entry) && entry !== ALL_TRAFFIC).map(toCidr),
		...(domains.length > 0 && { allowDomains: domains }),
		...(network?.egressProxy && { egressProxy: toSocks(network.egressProxy) }),
		...withHeaderRules(network?.rules),
	};
}

/** Only the known options are kept. */
export function copyNetwork(network: NetworkOptions): NetworkRecord {
	const { allowPublicTraffic, maskRequestHost, httpsPorts } = network;
	return {
		...(allowPublicTraffic !== undefined && { allowPublicTraffic }),
		...copyEgress(network),
		...(maskRequestHost !== undefined && { maskRequestHost }),
		...(httpsPorts && { httpsPorts }),
	};
}

/** Options after an update: its part is replaced as a whole, what concerns traffic to the sandbox stays. */
export function updateNetwork(before: NetworkRecord | undefined, update: NetworkUpdate): NetworkRecord {
	const { allowOut, denyOut, egressProxy, rules, ...kept } = before ?? {};
	return { ...kept, ...copyEgress(update) };
}

function copyEgress({ allowOut, denyOut, egressProxy, rules }: NetworkUpdate): NetworkRecord {
	return {
		...(allowOut && { allowOut }),
		...(denyOut && { denyOut }),
		...(egressProxy && { egressProxy: { ...egressProxy } }),
		...(rules && Object.keys(rules).length > 0 && { rules: normalRules(rules) }),
	};
}

/** Options as their owner may see them: the proxy's password is for writing only. */
export function visibleNetwork(network: NetworkRecord): NetworkOptions {
	if (!network.egressProxy) return network;
	const { password, ...egressProxy } = network.egressProxy;
	return { ...network, egressProxy };
}

function assertDenyOut(entries: readonly string[]): void {
	assertLength("network.denyOut", entries, MAX_ENTRIES);
	for (const entry of entries) {
		if (!isAddress(entry)) throw invalid(`network.denyOut: '${shown(entry)}' is neither an IP address nor a CIDR`);
	}
}

function assertAllowOut(entries: readonly string[], restDenied: boolean): void {
	assertLength("network.allowOut", entries, MAX_ENTRIES);
	for (const entry of entries) {
		if (isIPv4Entry(entry)) continue;
		const text = shown(entry);
		if (isAddress(entry)) throw invalid(`network.allowOut: '${text}': sandboxes have no IPv6; name an IPv4 address or CIDR`);
		if (!isDomainPattern(entry.toLowerCase())) {
			throw invalid(`network.allowOut: '${text}' is no IPv4 address, CIDR, host name, or '*.' and a host name`);
		}
		if (!restDenied) throw invalid(`network.allowOut: the domain '${text}' needs network.denyOut to contain '${ALL_TRAFFIC}'`);
	}
}

function assertMaskHost(host: string | undefined): void {
	if (host === undefined) return;
	if (!MASK_HOST.test(host.replaceAll("$" + "{PORT}", "1"))) {
		throw invalid(`network.maskRequestHost: '${shown(host)}' is not a host with an optional port`);
	}
}

function assertHttpsPorts(ports: readonly number[]): void {
	assertLength("network.httpsPorts", ports, MAX_HTTPS_PORTS);
	if (new Set(ports).size !== ports.length) throw invalid("network.httpsPorts has a port twice");
	for (const port of ports) {
		if (!isPort(port) || port === AGENT_PORT) {
			throw invalid(`network.httpsPorts: ${port} is not a port from 1 to 65535 other than ${AGENT_PORT}`);
		}
	}
}

function assertEgressProxy({ address, username, password }: EgressProxyOptions): void {
	const { host, port } = splitAddress(address);
	if (!(isIPv4(host) || isHostName(host)) || !isPort(port)) {
		throw invalid(`network.egressProxy.address: '${shown(address)}' is not 'host:port' with an IPv4 address or a host name`);
	}
	if (password !== undefined && username === undefined) throw invalid("network.egressProxy.password needs a username");
	for (const [field, value] of Object.entries({ username, password })) {
		const bytes = Buffer.byteLength(value ?? "?");
		if (bytes < 1 || bytes > MAX_CREDENTIAL_BYTES) {
			throw invalid(`network.egressProxy.${field} must have 1 to ${MAX_CREDENTIAL_BYTES} bytes`);
		}
	}
}

function toSocks({ address, username, password }: EgressProxyOptions): SocksProxy {
	return { ...splitAddress(address), ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}

function splitAddress(address: string): { readonly host: string; readonly port: number } {
	const [, host = "", port = ""] = /^([^:]*):(\d{1,5})$/.exec(address) ?? [];
	return { host: host.toLowerCase(), port: Number(port) };
}

function assertLength(field: string, list: readonly unknown[], max: number): void {
	if (list.length > max) throw invalid(`${field} may have ${max} entries at most`);
}

function shown(text: string): string {
	return text.slice(0, 300);
}

function isPort(port: number): boolean {
	return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function isAddress(entry: string): boolean {
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
