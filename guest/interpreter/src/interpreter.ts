/** Puts the interpreter together. */

import { mkdir, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { AgentClient } from "./agent.ts";
import { ContextRegistry } from "./contexts/registry.ts";
import { createInternalServer } from "./http/internal.ts";
import { createPublicServer } from "./http/public.ts";
import { EAGER_LANGUAGES, kernelCatalog } from "./kernels/catalog.ts";
import type { Settings } from "./settings.ts";

export interface Interpreter {
	/** The port clients connect to; the one of the settings unless that was 0. */
	readonly port: number;
	/** The loopback port for the agent. */
	readonly internalPort: number;
	/** Resolves when the default contexts are up, rejects if one cannot be started. */
	readonly ready: Promise<void>;
	/** Ends kernels and servers. */
	close(): Promise<void>;
}

/** Starts both servers at once and the default contexts behind them. */
export async function startInterpreter(settings: Settings): Promise<Interpreter> {
	await emptyDirectory(settings.runtimeDirectory);
	const { defaultCwd, kernelEnvironment } = settings;
	const registry = new ContextRegistry({ catalog: kernelCatalog(settings), defaultCwd, kernelEnvironment });
	let healthy = false;
	const publicServer = createPublicServer({ registry, agent: new AgentClient(settings.agentPort), healthy: () => healthy });
	const internalServer = createInternalServer(registry);
	const port = await listen(publicServer, settings.port, settings.host);
	const internalPort = await listen(internalServer, settings.internalPort, "127.0.0.1");
	const ready = Promise.all(EAGER_LANGUAGES.map((language) => registry.default(language))).then(() => {
		healthy = true;
	});
	return {
		port,
		internalPort,
		ready,
		async close() {
			await ready.catch(() => undefined);
			for (const server of [publicServer, internalServer]) {
				server.close();
				server.closeAllConnections();
			}
			await registry.close();
		},
	};
}

/** Sockets of kernels that died with an earlier interpreter. */
async function emptyDirectory(path: string): Promise<void> {
	await rm(path, { recursive: true, force: true });
	await mkdir(path, { recursive: true, mode: 0o700 });
}

function listen(server: Server, port: number, host: string): Promise<number> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, host, () => {
			server.off("error", reject);
			const address = server.address();
			resolve(typeof address === "object" && address !== null ? address.port : port);
		});
	});
}
