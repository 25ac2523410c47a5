/** One host, and what was measured on it. */
import type { Control } from "../../control/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { TEAM } from "./known.ts";

const NODE = {
	id: "node-1",
	serviceInstanceId: "run-1",
	status: "ready",
	host: {
		machine: { cpuFamily: "6", cpuModel: "1", cpuModelName: "Test", cpuArchitecture: "x86_64" },
		cpuCount: 4,
		cpuPercent: 12.5,
		memoryTotalBytes: 8_000,
		memoryUsedBytes: 5_000,
		disk: { mountPoint: "/", device: "/dev/test", filesystemType: "ext4", totalBytes: 900, usedBytes: 300 },
	},
	running: 2,
	starting: 1,
	allocatedCpu: 4,
	allocatedMemoryBytes: 1_024,
	createSuccesses: 7,
	createFails: 1,
} as const;

export function fakeNodes(): Control["nodes"] {
	let node: Awaited<ReturnType<Control["nodes"]["list"]>>[number] = NODE;
	const assertKnown = (nodeId: string) => {
		if (nodeId !== NODE.id) throw new OffshootError("not_found", `node '${nodeId}' does not exist`);
	};
	return {
		list: async () => [node],
		get: async (nodeId) => {
			assertKnown(nodeId);
			return { ...node, artifactIds: ["build-1"] };
		},
		setStatus: (nodeId, status) => {
			assertKnown(nodeId);
			node = { ...node, status };
		},
		runningCounts: () => new Map([[TEAM.id, 2]]),
	};
}

const SAMPLE = {
	at: 1_767_323_045_678,
	cpuCount: 2,
	cpuUsedPct: 12.5,
	memUsed: 1,
	memTotal: 2,
	memCache: 3,
	diskUsed: 4,
	diskTotal: 5,
};

/** @param note is told of each call */
export function fakeMetrics(note: (...call: unknown[]) => void): Control["metrics"] {
	return {
		ofSandbox: (_team, sandboxId, window) => {
			note("metrics", sandboxId, window);
			return [SAMPLE];
		},
		newest: (_team, ids) => new Map(ids.map((id) => [id, SAMPLE])),
		ofTeam: (_team, window) => {
			note("teamMetrics", window);
			return [
				{ at: 1_767_323_045_000, concurrentSandboxes: 3, startRate: 0.2 },
				{ at: 1_767_323_050_000, concurrentSandboxes: 2, startRate: 0.4 },
			];
		},
	};
}
