import { isRunning } from "./host-process.ts";
import type { ContainerRecord, Records } from "./records.ts";

const POLL_MS = 250;

/**
 * Notices containers that ended by themselves. Their processes are not our children (they must outlive the server), so
 * the kernel tells us nothing: their pids are looked at a few times a second, which costs microseconds each.
 */
export function watchExits(records: Records, onExit: (record: ContainerRecord) => void): () => void {
	const reported = new WeakSet<ContainerRecord>();
	const timer = setInterval(() => {
		for (const record of records.all()) {
			if (record.phase !== "ready" || reported.has(record) || isRunning(record)) continue;
			reported.add(record);
			onExit(record);
		}
	}, POLL_MS);
	return () => clearInterval(timer);
}
