/** IPv4 addresses and CIDRs as numbers. What has passed `parseCidr` is safe to be written into an nft rule. */
import { isIPv4, isIPv6 } from "node:net";

export interface Cidr {
	/** First address of the network: bits outside the prefix are cleared. */
	readonly base: number;
	readonly prefix: number;
}

/** Reads `a.b.c.d` or `a.b.c.d/n`. @throws RangeError */
export function parseCidr(text: string): Cidr {
	const [address = "", length = "32", ...rest] = text.split("/");
	if (rest.length > 0 || !isIPv4(address) || !/^\d{1,2}$/.test(length) || Number(length) > 32) {
		throw new RangeError(`"${text}" is neither an IPv4 address nor an IPv4 CIDR`);
	}
	const prefix = Number(length);
	const size = 2 ** (32 - prefix);
	const value = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
	return { base: Math.floor(value / size) * size, prefix };
}

export function formatAddress(value: number): string {
	return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

export function formatCidr({ base, prefix }: Cidr): string {
	return prefix === 32 ? formatAddress(base) : `${formatAddress(base)}/${prefix}`;
}

export function overlaps(a: Cidr, b: Cidr): boolean {
	return a.base < b.base + 2 ** (32 - b.prefix) && b.base < a.base + 2 ** (32 - a.prefix);
}

/**
 * Canonical IPv4 CIDRs of a list that may also name IPv6 ones: those are dropped, since guests have no IPv6 at all.
 * @throws RangeError if an entry is neither
 */
export function ipv4Cidrs(entries: readonly string[]): string[] {
	return entries.filter((entry) => !isIpv6Cidr(entry)).map((entry) => formatCidr(parseCidr(entry)));
}

function isIpv6Cidr(text: string): boolean {
	const [address = "", length = "128", ...rest] = text.split("/");
	return rest.length === 0 && isIPv6(address) && /^\d{1,3}$/.test(length) && Number(length) <= 128;
}
