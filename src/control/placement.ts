/**
 * Whether the node takes sandboxes that are not running yet: the operator's word. It holds until the server ends, since
 * an operator drains a node to restart it. What runs goes on, whatever is said.
 */
import { OffshootError } from "../protocol/index.ts";

export const NODE_STATUSES = ["ready", "draining", "standby", "unhealthy", "connecting"] as const;
export type NodeStatus = (typeof NODE_STATUSES)[number];

/** An operator who restarts a server is done in about this time; clients ask a few times more. */
const RETRY_SECONDS = 5;

export class Placement {
	#status: NodeStatus = "ready";

	get status(): NodeStatus {
		return this.#status;
	}

	become(status: NodeStatus): void {
		this.#status = status;
	}

	/** @throws OffshootError busy unless the node is ready */
	assertReady(): void {
		if (this.#status === "ready") return;
		throw notPlaced(
			`The node takes no sandboxes at present: its operator has set it to '${this.#status}'. Those that run go on; try again later`,
		);
	}
}

/** A sandbox that no node takes now, and one may take soon. */
export function notPlaced(why: string): OffshootError {
	const details = { errorCode: "sandbox_capacity_unavailable", retryAfterSeconds: RETRY_SECONDS, shouldRetry: true };
	return new OffshootError("busy", why, details);
}
