/** The hosts that sandboxes run on, for the operator. */
import { type Static, Type } from "typebox";
import { NODE_STATUSES, type NodeView } from "../../control/index.ts";
import type { ApiContext, App } from "../app.ts";
import { answers, Nothing } from "../schemas.ts";

const tags = ["operator"];
const Bytes = Type.Integer({ description: "bytes" });

const Status = Type.Enum([...NODE_STATUSES], { description: "only a ready host takes sandboxes that are not running yet" });

const NodeFields = {
	id: Type.String(),
	serviceInstanceID: Type.String({ description: "another one after each start of the server" }),
	clusterID: Type.String(),
	status: Status,
	version: Type.String(),
	commit: Type.String(),
	sandboxCount: Type.Integer(),
	createSuccesses: Type.Integer({ description: "since the start of the server" }),
	createFails: Type.Integer({ description: "since the start of the server" }),
	machineInfo: Type.Object({
		cpuFamily: Type.String(),
		cpuModel: Type.String(),
		cpuModelName: Type.String(),
		cpuArchitecture: Type.String(),
	}),
	metrics: Type.Object({
		allocatedCPU: Type.Integer(),
		allocatedMemoryBytes: Bytes,
		cpuPercent: Type.Integer(),
		cpuCount: Type.Integer(),
		memoryUsedBytes: Bytes,
		memoryTotalBytes: Bytes,
		disks: Type.Array(
			Type.Object({
				mountPoint: Type.String(),
				device: Type.String(),
				filesystemType: Type.String(),
				usedBytes: Bytes,
				totalBytes: Bytes,
			}),
		),
	}),
};
const Node = Type.Object({ ...NodeFields, sandboxStartingCount: Type.Integer() });
const NodeDetail = Type.Object({ ...NodeFields, cachedBuilds: Type.Array(Type.String()) });

/** There are no clusters. */
const NO_CLUSTER = "00000000-0000-0000-0000-000000000000";

/** @param app guarded by the admin token */
export function nodeRoutes(app: App, { control: { nodes }, version, signal }: ApiContext & { readonly version: string }): void {
	app.get(
		"/nodes",
		{ schema: { tags, summary: "List the hosts of sandboxes", response: answers({ 200: Type.Array(Node) }) } },
		async () => (await nodes.list(signal)).map((node) => ({ ...nodeView(node, version), sandboxStartingCount: node.starting })),
	);

	app.get(
		"/nodes/:nodeID",
		{
			schema: {
				tags,
				summary: "Read one host, with the builds that it holds",
				params: Type.Object({ nodeID: Type.String() }),
				response: answers({ 200: NodeDetail }),
			},
		},
		async (request) => {
			const node = await nodes.get(request.params.nodeID, signal);
			return { ...nodeView(node, version), cachedBuilds: [...node.artifactIds] };
		},
	);

	app.post(
		"/nodes/:nodeID",
		{
			schema: {
				tags,
				summary: "Close a host to sandboxes that are not running yet, or open it again; until the server ends",
				params: Type.Object({ nodeID: Type.String() }),
				body: Type.Object({ status: Status }),
				response: answers({ 204: Nothing }),
			},
		},
		async (request, reply) => {
			nodes.setStatus(request.params.nodeID, request.body.status);
			return reply.code(204).send(null);
		},
	);

	app.get(
		"/admin/sandboxes/running-counts",
		{
			schema: {
				tags,
				summary: "Running sandboxes of each team that has any",
				response: answers({ 200: Type.Record(Type.String(), Type.Integer()) }),
			},
		},
		async () => Object.fromEntries(nodes.runningCounts()),
	);
}

function nodeView(node: NodeView, version: string): Omit<Static<typeof Node>, "sandboxStartingCount"> {
	const { machine, disk, cpuPercent, cpuCount, memoryTotalBytes, memoryUsedBytes } = node.host;
	return {
		id: node.id,
		serviceInstanceID: node.serviceInstanceId,
		clusterID: NO_CLUSTER,
		status: node.status,
		version,
		commit: "",
		sandboxCount: node.running,
		createSuccesses: node.createSuccesses,
		createFails: node.createFails,
		machineInfo: machine,
		metrics: {
			allocatedCPU: node.allocatedCpu,
			allocatedMemoryBytes: node.allocatedMemoryBytes,
			cpuPercent: Math.round(cpuPercent),
			cpuCount,
			memoryUsedBytes,
			memoryTotalBytes,
			disks: [disk],
		},
	};
}
