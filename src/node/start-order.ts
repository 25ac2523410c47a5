/** What an order to start means: the record of the container, and what its agent is told. */
import { randomBytes } from "node:crypto";
import type { AgentInit } from "../protocol/index.ts";
import type { Artifact } from "../store/index.ts";
import type { ContainerAhead } from "./containers-ahead.ts";
import type { ContainerRecord } from "./records.ts";
import type { Trust } from "./trust.ts";
import type { StartOrder } from "./types.ts";

const ENTROPY_BYTES = 32;

export function newRecord(order: StartOrder, { manifest, spec }: Artifact, place: ContainerAhead): ContainerRecord {
	return {
		containerId: place.id,
		sandboxId: order.sandboxId,
		incarnation: order.incarnation,
		operationId: order.operationId,
		templateId: order.templateId,
		artifactId: order.artifactId,
		phase: "starting",
		pid: 0,
		slot: place.slot,
		engine: manifest.engine,
		rootfs: manifest.rootfs,
		cpuFeatures: manifest.cpuFeatures,
		agent: manifest.agent,
		resources: manifest.resources,
		spec: { ...spec },
		controlKey: manifest.controlKey,
		generation: manifest.generation + 1,
		...(manifest.trust === undefined ? {} : { trust: manifest.trust }),
	};
}

export function agentInit(
	order: StartOrder,
	record: ContainerRecord,
	nextControlKey: string,
	trust: Trust | undefined,
): AgentInit {
	return {
		sandboxId: order.sandboxId,
		templateId: order.templateId,
		incarnation: order.incarnation,
		generation: record.generation,
		nextControlKey,
		...(order.accessToken === undefined ? {} : { accessToken: order.accessToken }),
		newIdentity: order.newIdentity,
		envs: order.envs,
		hostname: order.sandboxId,
		timestampMs: Date.now(),
		...(trust === undefined || trust.digest === record.trust ? {} : { caBundle: trust.bundle }),
		entropy: randomBytes(ENTROPY_BYTES).toString("base64"),
	};
}
