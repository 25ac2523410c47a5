/**
 * The egress proxy's process. It gives root away before it opens a port, and ends with the server that started it: nft
 * then leads the guests' connections to a closed port.
 */
import { readTrustStore } from "../../host/trust-store.ts";
import type { CertifiedKey } from "./authority.ts";
import { Certificates } from "./certificates.ts";
import { Destinations } from "./destinations.ts";
import type { Issued, ProxyOptions, SetPolicy } from "./messages.ts";
import { loadOriginalDestination } from "./original-destination.ts";
import { EgressProxy } from "./proxy.ts";

const READ_TIMEOUT_MS = 10_000;

process.on("disconnect", () => process.exit(0));

const options: ProxyOptions = JSON.parse(process.argv[2] ?? "");
const original = await loadOriginalDestination();
/** What this host trusts; without such a file, what Node does. */
const ca = await readTrustStore(AbortSignal.timeout(READ_TIMEOUT_MS)).catch(() => undefined);
dropPrivileges(options.uid);

const asked = new Map<number, PromiseWithResolvers<CertifiedKey>>();
let nextQuestion = 0;
const certificates = new Certificates((name) => {
	const question = Promise.withResolvers<CertifiedKey>();
	asked.set(nextQuestion, question);
	process.send?.({ issue: nextQuestion++, name });
	return question.promise;
});
const proxy = new EgressProxy(new Destinations(options), { certificates, ca });
const listening = {
	http: await proxy.listenFor(80, options.address),
	tls: await proxy.listenFor(443, options.address),
	...(original && { any: await proxy.listenForAny(original, options.address) }),
};
process.on("message", (message: SetPolicy | Issued) => {
	if ("issued" in message) return settle(message);
	proxy.set(message.slot, message.policy);
	process.send?.({ done: message.id });
});
process.send?.({ listening });

function settle({ issued, certified }: Issued): void {
	const question = asked.get(issued);
	asked.delete(issued);
	if (certified === undefined) question?.reject(new Error("the server refused a certificate"));
	else question?.resolve(certified);
}

function dropPrivileges(id: number): void {
	if (!process.setgroups || !process.setgid || !process.setuid) throw new Error("this platform has no users");
	process.setgroups([]);
	process.setgid(id);
	process.setuid(id);
}
