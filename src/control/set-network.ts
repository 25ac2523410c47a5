/**
 * Changes what a running sandbox may reach. The row is changed first, so that nothing that starts from it later is more
 * open than was asked for; when the promise resolves the host enforces it. Updates of one sandbox happen one after the
 * other, in the order of their calls.
 */
import { randomUUID } from "node:crypto";
import type { SandboxRecord } from "../fleet/index.ts";
import { sandboxNotFound } from "../protocol/index.ts";
import { type Core, orderKey } from "./core.ts";
import { decide } from "./decide.ts";
import { assertNetwork, toEgress, updateNetwork } from "./network.ts";
import type { NetworkUpdate, Team } from "./types.ts";

export type SetNetwork = (team: Team, sandboxId: string, update: NetworkUpdate, signal: AbortSignal) => Promise<void>;

export function networkSetter(core: Core): SetNetwork {
	const last = new Map<string, Promise<void>>();
	return async (team, sandboxId, update, signal) => {
		core.assertOpen();
		assertNetwork(update, { secure: true, allowInternetAccess: update.allowInternetAccess });
		core.ledger.owned(team, sandboxId);
		const turn = (last.get(sandboxId) ?? Promise.resolve()).then(() => setNetwork(core, team, sandboxId, update, signal));
		const ended = turn.catch(() => {});
		last.set(sandboxId, ended);
		await turn.finally(() => last.get(sandboxId) === ended && last.delete(sandboxId));
	};
}

async function setNetwork(core: Core, team: Team, sandboxId: string, update: NetworkUpdate, signal: AbortSignal): Promise<void> {
	await decide(
		core,
		"setNetwork",
		() => core.ledger.owned(team, sandboxId),
		{
			go: async (before) => {
				const after = await core.ledger.setNetwork(before, updateNetwork(before.network, update), update.allowInternetAccess);
				await enforce(core, before, after, signal);
			},
		},
		signal,
	);
}

async function enforce(core: Core, before: SandboxRecord, after: SandboxRecord, signal: AbortSignal): Promise<void> {
	try {
		await core.node.setEgress(orderKey(after, { id: randomUUID() }), toEgress(after.network, after.allowInternetAccess), signal);
	} catch (error) {
		const now = core.ledger.get(after.id);
		if (now === undefined) throw sandboxNotFound(after.id);
		// Paused meanwhile: the row says what its next life may reach.
		if (now.incarnation !== after.incarnation || now.state !== "running") return;
		await core.ledger.setNetwork(after, before.network, before.allowInternetAccess);
		throw error;
	}
}

/** How many policies are set at the same time after a start. */
const AT_ONCE = 4;

/**
 * After a start of the server: sets the policies of all running sandboxes again. What nft knows has outlived the server;
 * what its proxy knew has not, and an update may have been cut off between row and host.
 */
export async function restorePolicies(core: Core, signal: AbortSignal): Promise<void> {
	const waiting = [...core.ledger.all()].filter(({ state }) => state === "running");
	const work = async () => {
		for (let next = waiting.pop(); next !== undefined && !signal.aborted; next = waiting.pop()) {
			const { id, incarnation } = next;
			await core.chores.attempt(`set the network of sandbox ${id}`, (attempt) => restore(core, id, incarnation, attempt));
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function restore(core: Core, sandboxId: string, incarnation: number, signal: AbortSignal): Promise<void> {
	for (let set: SandboxRecord | undefined; ; ) {
		const record = core.ledger.get(sandboxId);
		if (record?.state !== "running" || record.incarnation !== incarnation) return;
		// A later try may meet an update, and must not undo it.
		if (set?.network === record.network && set?.allowInternetAccess === record.allowInternetAccess && set) return;
		const key = orderKey(record, { id: randomUUID() });
		await core.node.setEgress(key, toEgress(record.network, record.allowInternetAccess), signal);
		set = record;
	}
}
