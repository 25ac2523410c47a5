/** Runs one slot pool and obeys calls sent over IPC. Argument: options as JSON. */
import { claimAddressRange, createSlotPool, openEgressAuthority } from "../../../src/engine/network/index.ts";

const signal = new AbortController().signal;
const options = JSON.parse(process.argv[2] ?? "{}");
const log = { info() {}, warn: (...what: unknown[]) => console.error("pool:", ...what) };

const addressRange = await claimAddressRange(options.instanceId, signal);
const authority = await openEgressAuthority(options.authorityDir, signal);
const pool = await createSlotPool({ ...options, addressRange, authority, log }, signal);

const calls: Record<string, (...args: never[]) => unknown> = {
	acquire: () => pool.acquire(signal),
	prepare: (slot) => pool.prepare(slot, signal),
	setEgress: (slot, policy) => pool.setEgress(slot, policy, signal),
	release: (slot) => pool.release(slot),
	adopt: (indexes) => pool.adopt(indexes, signal),
	stats: () => pool.stats(),
	close: () => pool.close(),
	destroy: () => pool.destroy(signal),
};

process.on("message", async ({ id, method, args }: { id: number; method: string; args: never[] }) => {
	try {
		process.send?.({ id, result: await calls[method]?.(...args) });
	} catch (error) {
		process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
	}
});
process.send?.({ range: addressRange });
