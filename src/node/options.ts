import type { Logger } from "pino";
import type { Engines, SlotPool } from "../engine/index.ts";
import type { Store } from "../store/index.ts";
import type { HostProbe } from "./host-facts.ts";
import type { Records } from "./records.ts";
import type { Trust } from "./trust.ts";

/** What a node is made of. */
export interface NodeOptions {
	readonly nodeId: string;
	readonly store: Store;
	readonly engines: Engines;
	readonly slots: SlotPool;
	readonly records: Records;
	/** Given to every guest; undefined leaves the guest its own. */
	readonly trust: Trust | undefined;
	readonly host: Pick<HostProbe, "read">;
	/** Features of this host's processors, as the engine names them. */
	readonly cpuFeatures: readonly string[];
	readonly log: Logger;
}
