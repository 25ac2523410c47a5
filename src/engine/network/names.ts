/**
 * How everything this room puts on the host is called. Every name holds the instance's id, so that several instances
 * live side by side and each finds, and removes, only its own.
 */
import { GATEWAY_ADDRESS, GUEST_ADDRESS } from "../../protocol/index.ts";
import { formatAddress, parseCidr } from "./cidr.ts";

export const GUEST_CIDR = `${GUEST_ADDRESS}/30`;

/**
 * The same on every slot: a memory image holds the guest's own address and its neighbour entry for the gateway, and
 * both must still be right in the next slot. Locally administered; the last four bytes are the IPv4 addresses.
 */
export const GUEST_MAC = macOf(GUEST_ADDRESS);
export const GATEWAY_MAC = macOf(GATEWAY_ADDRESS);

export const NETNS_DIRECTORY = "/run/netns";

/** Prefix of the nft tables of all instances. */
export const TABLE_PREFIX = "offshoot_";

const INSTANCE_ID = /^[a-z0-9]{1,8}$/;

export interface InstanceNames {
	readonly instanceId: string;
	/** nft table, of the families `ip` and `netdev`. */
	readonly table: string;
	/** Host ends of the veths are called this and the slot's index; at most 15 characters together. */
	readonly linkPrefix: string;
	readonly netnsPrefix: string;
	/** Label of the address on `lo` at which DNS is answered. */
	readonly dnsLabel: string;
}

/** @throws Error if the id cannot be part of an interface's name */
export function namesOf(instanceId: string): InstanceNames {
	if (!INSTANCE_ID.test(instanceId)) throw new Error(`instance id "${instanceId}" must be 1 to 8 characters of a-z and 0-9`);
	return {
		instanceId,
		table: `${TABLE_PREFIX}${instanceId}`,
		linkPrefix: `os${instanceId}-`,
		netnsPrefix: `offshoot-${instanceId}-`,
		dnsLabel: `lo:os${instanceId}`,
	};
}

/** Index in a name made of `prefix` and an index; undefined for every other name. */
export function indexIn(name: string, prefix: string): number | undefined {
	if (!name.startsWith(prefix)) return undefined;
	const digits = name.slice(prefix.length);
	return /^(0|[1-9]\d{0,4})$/.test(digits) ? Number(digits) : undefined;
}

/** Addresses of an instance's block: the first answers DNS, the ones after it belong to the slots. */
export class AddressBlock {
	readonly cidr: string;
	readonly #base: number;
	readonly #size: number;

	/** @throws Error if `cidr` is none or too small for a single slot */
	constructor(cidr: string) {
		const { base, prefix } = parseCidr(cidr);
		this.cidr = cidr;
		this.#base = base;
		this.#size = 2 ** (32 - prefix);
		if (this.capacity < 1) throw new Error(`address range ${cidr} has no room for slots`);
	}

	/** How many slots fit. The block's first and last address stay unused. */
	get capacity(): number {
		return this.#size - 3;
	}

	get dns(): string {
		return formatAddress(this.#base + 1);
	}

	slot(index: number): string {
		return formatAddress(this.#base + 2 + index);
	}
}

function macOf(address: string): string {
	const bytes = address.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
	return ["02", "00", ...bytes].join(":");
}

/** First of a range that systemd's map of user ids leaves unused: https://systemd.io/UIDS-GIDS */
const FIRST_PROXY_UID = 1_879_048_192;

/** User id of an instance's egress proxy, which nobody else on the host has: blocks of addresses are never shared. */
export function proxyUidOf(addressRange: string): number {
	return FIRST_PROXY_UID + (parseCidr(addressRange).base % 2 ** 24);
}
