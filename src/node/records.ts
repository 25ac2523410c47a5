import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { replaceFile, replaceFileSync } from "../engine/index.ts";

/**
 * What a node must remember of each container to go on after its process died: one small file each in the runtime
 * directory, which a reboot empties together with the containers themselves. Written before the container exists,
 * removed after it is gone, so every container and every slot in use has a record.
 */
const RecordSchema = Type.Object({
	containerId: Type.String(),
	sandboxId: Type.String(),
	incarnation: Type.Integer(),
	operationId: Type.String(),
	templateId: Type.String(),
	artifactId: Type.String(),
	/** `starting` until the guest agent was initialised: only a ready container may serve anybody. */
	phase: Type.Union([Type.Literal("starting"), Type.Literal("ready")]),
	/** Host process of the container, 0 while it is being made. */
	pid: Type.Integer(),
	/** With the pid, names the process for good; absent in records of an earlier version, and while there is no process. */
	startTicks: Type.Optional(Type.String()),
	slot: Type.Object({ index: Type.Integer(), netnsPath: Type.String(), address: Type.String() }),
	engine: Type.Object({ version: Type.String(), sha256: Type.String() }),
	rootfs: Type.Object({ id: Type.String(), digest: Type.String() }),
	cpuFeatures: Type.Array(Type.String()),
	agent: Type.Object({ version: Type.String(), controlProtocol: Type.Integer() }),
	resources: Type.Object({ cpuCount: Type.Integer(), memoryMB: Type.Integer(), diskSizeMB: Type.Integer() }),
	spec: Type.Record(Type.String(), Type.Unknown()),
	/** Private half of the key that this container's agent trusts. */
	controlKey: Type.String(),
	generation: Type.Integer(),
	/** Digest of the certificates that the guest was given; absent when it never was. */
	trust: Type.Optional(Type.String()),
	/** Bytes of the engine after it wrote the last image; absent before there was one, and in records of an earlier version. */
	imageEngineBytes: Type.Optional(Type.Integer()),
});

export type ContainerRecord = Static<typeof RecordSchema>;

export interface Records {
	find(sandboxId: string, incarnation: number): ContainerRecord | undefined;
	all(): readonly ContainerRecord[];
	put(record: ContainerRecord): Promise<void>;
	/** Writes down what was learned of a container. No effect when it has no record any more. */
	amend(containerId: string, learned: Pick<ContainerRecord, "imageEngineBytes">): void;
	delete(containerId: string): Promise<void>;
}

export async function openRecords(dir: string): Promise<Records> {
	await mkdir(dir, { recursive: true, mode: 0o700 });
	const records = new Map<string, ContainerRecord>();
	for (const name of await readdir(dir)) {
		const path = join(dir, name);
		const record = name.endsWith(".json") ? parseRecord(await readFile(path, "utf8")) : undefined;
		if (record === undefined) await rm(path, { force: true });
		else records.set(record.containerId, record);
	}
	const pathOf = (containerId: string) => join(dir, `${containerId}.json`);
	return {
		find: (sandboxId, incarnation) =>
			[...records.values()].find((record) => record.sandboxId === sandboxId && record.incarnation === incarnation),
		all: () => [...records.values()],
		put: async (record) => {
			await replaceFile(pathOf(record.containerId), JSON.stringify(record), 0o600);
			records.set(record.containerId, record);
		},
		amend: (id, learned) => {
			const record = records.get(id);
			if (record === undefined) return;
			const amended = { ...record, ...learned };
			// At once: the container may be removed at any moment, and its record must not come back after that.
			replaceFileSync(pathOf(id), JSON.stringify(amended), 0o600);
			records.set(id, amended);
		},
		delete: async (id) => {
			await rm(pathOf(id), { force: true });
			records.delete(id);
		},
	};
}

/** A file cut short by a crash describes a container that was never started: it counts as absent. */
function parseRecord(text: string): ContainerRecord | undefined {
	try {
		const parsed: unknown = JSON.parse(text);
		return Value.Check(RecordSchema, parsed) ? parsed : undefined;
	} catch {
		return undefined;
	}
}
