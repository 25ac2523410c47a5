/**
 * The operator's door to a running server: a socket in the runtime directory that only root can open, so it needs no
 * key. It tells what the public API does not: the node's pools.
 */
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { dirname, join } from "node:path";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";

const OperatorStatusSchema = Type.Object({
	sandboxes: Type.Object({ running: Type.Integer(), paused: Type.Integer() }),
	pools: Type.Object({
		/** Containers made ahead of a restore. */
		containers: Type.Object({ ready: Type.Integer(), wanted: Type.Integer() }),
		/** Network slots. */
		slots: Type.Object({ free: Type.Integer(), used: Type.Integer() }),
	}),
});
export type OperatorStatus = Static<typeof OperatorStatusSchema>;

/** State that ends with the machine's uptime, like the containers it describes. */
export function runtimeDirectory(instanceId: string): string {
	return join("/run/offshoot", instanceId);
}

function socketPath(instanceId: string): string {
	return join(runtimeDirectory(instanceId), "operator.sock");
}

/** Answers until the returned function is called. */
export async function serveOperator(instanceId: string, status: () => Promise<OperatorStatus>): Promise<() => Promise<void>> {
	const path = socketPath(instanceId);
	await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	// A killed server leaves its socket behind, and a new one cannot be bound over it.
	await rm(path, { force: true });
	const server = createServer((_req, res) => {
		status().then(
			(current) => res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(current)),
			(error: unknown) => res.writeHead(500).end(String(error)),
		);
	});
	server.listen(path);
	await once(server, "listening");
	return async () => {
		server.close();
		await rm(path, { force: true });
	};
}

/** Undefined when the server does not answer. */
export async function readOperatorStatus(instanceId: string, signal: AbortSignal): Promise<OperatorStatus | undefined> {
	try {
		const outgoing = request({ socketPath: socketPath(instanceId), path: "/", signal }).end();
		const [response] = await once(outgoing, "response");
		const chunks: Buffer[] = [];
		for await (const chunk of response) chunks.push(chunk);
		const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString());
		return Value.Check(OperatorStatusSchema, parsed) ? parsed : undefined;
	} catch {
		return undefined;
	}
}
