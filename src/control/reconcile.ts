/**
 * After a start of the server: brings rows and the node's containers and artifacts together again. What was
 * acknowledged to a client holds; what was not is finished or undone, whichever loses nothing:
 *
 * | row          | container         | becomes                                                                    |
 * |--------------|-------------------|----------------------------------------------------------------------------|
 * | starting     | any               | nothing: nobody knows its id                                               |
 * | running      | alive             | adopted as it is; let run, if it stood still for its limits                |
 * | running      | none              | ended                                                                      |
 * | snapshotting | alive / none      | running / ended; the artifact goes                                         |
 * | pausing      | frozen or none    | paused if the artifact is published: the guest did nothing since           |
 * | pausing      | running           | running; the artifact goes: the guest may have gone on since               |
 * | pausing      | none, no artifact | ended                                                                      |
 * | resuming     | any               | paused, image kept: no request has reached the new incarnation             |
 *
 * Containers and artifacts without a row go.
 */
import { randomUUID } from "node:crypto";
import type { SandboxRecord } from "../fleet/index.ts";
import type { NodeSandbox } from "../node/index.ts";
import { type Core, deleteArtifact, removeContainer, unlessKilled } from "./core.ts";
import { endLocked } from "./kill.ts";
import { recordPause } from "./pause.ts";
import { restorePolicies } from "./set-network.ts";
import type { Transition } from "./table.ts";

const LOST = "its container was gone when the server started: the host was restarted, or it ended while the server was down";

export async function reconcile(core: Core, signal: AbortSignal): Promise<void> {
	const containers = await core.node.list(signal);
	const strays = containers.filter((container) => isStray(core, container));
	for (const record of [...core.ledger.all()]) {
		signal.throwIfAborted();
		await settle(core, record, findContainer(containers, record));
	}
	for (const { sandboxId, incarnation } of strays) {
		await removeContainer(core, { sandboxId, incarnation, operationId: randomUUID() });
	}
	await restorePolicies(core, signal);
	await removeOrphans(core, signal);
}

/** True if no row says that this container lives or is about to. */
function isStray(core: Core, container: NodeSandbox): boolean {
	const record = core.ledger.get(container.sandboxId);
	return !record || record.state === "paused" || record.incarnation !== container.incarnation;
}

/** A row that can't be settled now keeps its sandbox locked until it can; the others do not wait for it. */
async function settle(core: Core, record: SandboxRecord, found: NodeSandbox | undefined): Promise<void> {
	if (isSettled(record, found)) return;
	let container = found;
	await core.operations.begin(record.id, transitionOf(record), (operation) =>
		core.chores.repair(operation, `settle sandbox ${record.id}`, async (signal) => {
			try {
				await settleRow(core, record, container, signal);
			} catch (error) {
				container = findContainer(await core.node.list(signal), record);
				throw error;
			}
		}),
	);
}

function isSettled(record: SandboxRecord, container: NodeSandbox | undefined): boolean {
	if (record.state === "paused") return true;
	return record.state === "running" && container?.paused === false && container.address === record.address;
}

/** What others see while the row is being settled: requests to a running sandbox still get through. */
function transitionOf(record: SandboxRecord): Transition {
	const { state } = record;
	return state === "starting" || state === "pausing" || state === "resuming" ? state : "snapshotting";
}

async function settleRow(
	core: Core,
	record: SandboxRecord,
	container: NodeSandbox | undefined,
	signal: AbortSignal,
): Promise<void> {
	if (!core.ledger.get(record.id)) return;
	const key = { sandboxId: record.id, incarnation: record.incarnation, operationId: record.operationId ?? randomUUID() };
	if (record.state === "starting") {
		await core.ledger.discard(record.id);
		return removeContainer(core, key);
	}
	if (record.state === "resuming") {
		await unlessKilled(core.ledger.move(record, { state: "paused", operationId: undefined }));
		return removeContainer(core, key);
	}
	if (record.state === "pausing" && (await finishPause(core, record, container, signal))) return removeContainer(core, key);
	if (!container) return unlessKilled(endLocked(core, record.id, LOST));
	if (container.paused) await core.node.unfreeze(key, signal);
	await adopt(core, record, container);
}

/** @returns false when the pause has to be undone instead */
async function finishPause(
	core: Core,
	record: SandboxRecord,
	container: NodeSandbox | undefined,
	signal: AbortSignal,
): Promise<boolean> {
	if (!record.pendingArtifactId || (container && !container.paused)) return false;
	const facts = await core.node.artifact(record.pendingArtifactId, signal);
	if (!facts) return false;
	await unlessKilled(recordPause(core, record, facts));
	return true;
}

async function adopt(core: Core, record: SandboxRecord, container: NodeSandbox): Promise<void> {
	if (record.state === "running" && record.address === container.address) return;
	await unlessKilled(
		core.ledger.move(record, {
			state: "running",
			operationId: undefined,
			pendingArtifactId: undefined,
			address: container.address,
		}),
	);
	if (record.pendingArtifactId) await deleteArtifact(core, record.pendingArtifactId);
}

function findContainer(containers: readonly NodeSandbox[], record: SandboxRecord): NodeSandbox | undefined {
	return containers.find(({ sandboxId, incarnation }) => sandboxId === record.id && incarnation === record.incarnation);
}

/**
 * Artifacts that no build refers to: of captures that were not finished, and of pauses that ended. Those of templates
 * stay: they are built before control hears of them.
 */
async function removeOrphans(core: Core, signal: AbortSignal): Promise<void> {
	const artifacts = await core.node.listArtifacts(signal);
	const kept = await core.fleet.builds.livingIds();
	const pending = new Set([...core.ledger.all()].map((record) => record.pendingArtifactId));
	for (const { artifactId, kind } of artifacts) {
		if (kind !== "template" && !kept.has(artifactId) && !pending.has(artifactId)) await deleteArtifact(core, artifactId);
	}
	for (const record of core.ledger.all()) {
		if (record.state === "paused" && !artifacts.some(({ artifactId }) => artifactId === record.pauseArtifactId)) {
			core.log.error({ sandboxId: record.id, artifactId: record.pauseArtifactId }, "the image of a paused sandbox is missing");
		}
	}
}
