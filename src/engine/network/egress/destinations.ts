/** Which addresses connections may be made to, and the addresses of names. */
import { Resolver } from "node:dns/promises";
import { BlockList, isIPv4 } from "node:net";
import { ipv4Cidrs, parseCidr } from "../cidr.ts";

export function blockListOf(cidrs: readonly string[]): BlockList {
	const list = new BlockList();
	for (const cidr of ipv4Cidrs(cidrs)) {
		const [network = ""] = cidr.split("/");
		list.addSubnet(network, parseCidr(cidr).prefix, "ipv4");
	}
	return list;
}

export class Destinations {
	readonly #closed: BlockList;
	readonly #opened: BlockList;
	readonly #resolver = new Resolver({ timeout: 2000, tries: 3 });

	constructor(options: {
		readonly closedCidrs: readonly string[];
		readonly operatorAllowCidrs: readonly string[];
		/** `address:port` */
		readonly dnsServer: string;
	}) {
		this.#closed = blockListOf(options.closedCidrs);
		this.#opened = blockListOf(options.operatorAllowCidrs);
		this.#resolver.setServers([options.dnsServer]);
	}

	isOpen(address: string): boolean {
		return isIPv4(address) && (!this.#closed.check(address) || this.#opened.check(address));
	}

	/**
	 * Open addresses of a name or an address, to be connected to as they are: asked again, a name may mean another one.
	 * @throws Error when there is none
	 */
	async find(host: string): Promise<readonly string[]> {
		const found = isIPv4(host) ? [host] : await this.#resolver.resolve4(host);
		const open = found.filter((address) => this.isOpen(address));
		if (open.length === 0) throw new Error(`${host} has no address that may be reached`);
		return open;
	}
}
