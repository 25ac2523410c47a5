import type { Logger } from "pino";
import type { Engines, SlotPool } from "../engine/index.ts";
import { isRunning } from "./host-process.ts";
import type { ContainerRecord, Records } from "./records.ts";

/**
 * After a start of the server, brings host and records together: a container that is alive, whole and recorded goes on
 * as it is; everything else of this instance is removed. Nobody was told that an unfinished start had succeeded, so it
 * is safe to end it.
 */
export async function adopt(
	options: { readonly engines: Engines; readonly slots: SlotPool; readonly records: Records; readonly log: Logger },
	signal: AbortSignal,
): Promise<void> {
	const { engines, slots, records, log } = options;
	await engines.settle(signal);
	const kept = new Map<string, ContainerRecord>();
	for (const record of records.all()) {
		if (record.phase === "ready" && isRunning(record)) kept.set(record.containerId, record);
	}
	for (const engine of engines.opened()) {
		for (const container of await engine.list(signal)) {
			if (!kept.has(container.id)) await engine.remove(container.id, signal);
		}
	}
	for (const record of records.all()) {
		if (kept.has(record.containerId)) continue;
		const engine = await engines.open(record.engine);
		await engine.remove(record.containerId, signal);
		await records.delete(record.containerId);
	}
	await slots.adopt(
		[...kept.values()].map((record) => record.slot.index),
		signal,
	);
	if (kept.size > 0) log.info({ sandboxes: kept.size }, "adopted running sandboxes");
}
