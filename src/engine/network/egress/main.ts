/**
 * The egress proxy's process. It gives root away before it opens a port, and ends with the server that started it: nft
 * then leads the guests' connections to a closed port.
 */

import { Destinations } from "./destinations.ts";
import type { ProxyOptions, SetPolicy } from "./messages.ts";
import { loadOriginalDestination } from "./original-destination.ts";
import { EgressProxy } from "./proxy.ts";

process.on("disconnect", () => process.exit(0));

const options: ProxyOptions = JSON.parse(process.argv[2] ?? "");
const original = await loadOriginalDestination();
dropPrivileges(options.uid);

const proxy = new EgressProxy(new Destinations(options));
const listening = {
	http: await proxy.listenFor(80, options.address),
	tls: await proxy.listenFor(443, options.address),
	...(original && { any: await proxy.listenForAny(original, options.address) }),
};
process.on("message", ({ id, slot, policy }: SetPolicy) => {
	proxy.set(slot, policy);
	process.send?.({ done: id });
});
process.send?.({ listening });

function dropPrivileges(id: number): void {
	if (!process.setgroups || !process.setgid || !process.setuid) throw new Error("this platform has no users");
	process.setgroups([]);
	process.setgid(id);
	process.setuid(id);
}
