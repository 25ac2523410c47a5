/**
 * Composes the single-machine server from the rooms, in the order of their dependencies, and takes it apart in the
 * reverse order.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { type Logger, pino } from "pino";
import manifest from "../../package.json" with { type: "json" };
import { createApi } from "../api/index.ts";
import { type Control, type ControlLifecycle, createControl } from "../control/index.ts";
import { createEdge, openFrontDoor } from "../edge/index.ts";
import {
	claimAddressRange,
	createSlotPool,
	type EgressAuthority,
	type Engines,
	openCgroups,
	openEgressAuthority,
	openEngines,
	removeInstanceNetwork,
	type SlotPool,
} from "../engine/index.ts";
import { openFleet } from "../fleet/index.ts";
import { adopt, HostProbe, LocalNode, openRecords, readHostTrust } from "../node/index.ts";
import { openStore } from "../store/index.ts";
import { runtimeDirectory, serveOperator } from "./instance/operator-socket.ts";
import type { CleanHost, ServerOptions, StartServer } from "./server-contract.ts";
import { prepareTemplates } from "./templates.ts";
import { followCertificate } from "./tls/renewal.ts";

/** Free network slots kept ready, and how many there may be at all. */
const SLOTS_AHEAD = 4;
const SLOTS_MAX = 1000;
const STOP_TIMEOUT_MS = 60_000;

/** What must be undone when the server stops, last done first. Each part is tried even when another one fails. */
class Teardown {
	readonly #steps: { readonly what: string; readonly undo: () => Promise<void> | void }[] = [];

	add(what: string, undo: () => Promise<void> | void): void {
		this.#steps.push({ what, undo });
	}

	async run(log: Logger): Promise<void> {
		for (const { what, undo } of this.#steps.splice(0).reverse()) {
			try {
				await undo();
			} catch (error) {
				log.error({ err: error }, `closing ${what} failed`);
			}
		}
	}
}

/**
 * Without it V8 collects its whole heap for every few megabytes of buffers that pass through the edge, which takes almost
 * half of the time of a large stream: see `bench edge`.
 */
const FLAG_FOR_STREAMS = "--external-memory-accounted-in-global-limit";

export const startServer: StartServer = async (options, signal) => {
	setFlagsFromString(FLAG_FOR_STREAMS);
	const log = pino({ level: options.config.logLevel });
	const teardown = new Teardown();
	try {
		const control = await compose(options, log, teardown, signal);
		return {
			stop: async (fate) => {
				// The API answers until what was begun is done: without this a create could slip in behind the end of all others.
				control.refuseNew();
				if (fate === "end") {
					const ended = await control.endRunning("the server was taken down", AbortSignal.timeout(STOP_TIMEOUT_MS));
					log.info({ sandboxes: ended }, "ended running sandboxes");
				}
				await teardown.run(log);
			},
		};
	} catch (error) {
		await teardown.run(log);
		throw error;
	}
};

async function compose(
	options: ServerOptions,
	log: Logger,
	teardown: Teardown,
	signal: AbortSignal,
): Promise<Control & ControlLifecycle> {
	const { config, instanceId, progress } = options;
	const runtimeDir = runtimeDirectory(instanceId);
	await mkdir(runtimeDir, { recursive: true, mode: 0o700 });

	const store = await openStore(config.dataDir);
	const cgroups = openCgroups(instanceId);
	if (cgroups === undefined) log.warn("this host has no cgroups to bound sandboxes with: `offshoot doctor` says why");
	const engines = await openEngines({ ...engineDirectories(config.dataDir, runtimeDir), cgroups }, options.runsc);
	const authority = await openEgressAuthority(join(config.dataDir, "egress"), signal);
	const slots = await openSlots(options, authority, log, signal);
	teardown.add("network slots", () => slots.close());
	const records = await openRecords(join(runtimeDir, "containers"));
	await progress.step("Sandboxes of an earlier run", () => adopt({ engines, slots, records, log }, signal));

	const trust = await readHostTrust(authority.certificate, signal);
	if (trust === undefined) log.warn("this host has no trust store to give to sandboxes: `offshoot doctor` says why");
	const templates = await prepareTemplates(config, { store, engines, slots, trust }, progress, signal);
	const host = new HostProbe(config.dataDir);
	const node = await openNode({ store, engines, slots, records, trust, host, log }, signal);
	teardown.add("node", () => node.close());
	for (const template of templates) await node.keepAhead(template.facts.artifactId, template.ahead);

	const fleet = await openFleet({ path: join(config.dataDir, "offshoot.db") }, signal);
	teardown.add("database", () => fleet.close());
	const valid = await fleet.keys.ensure(options.apiKey, { teamId: fleet.defaultTeam.id, name: "first" });
	if (!valid) log.warn("the key that `offshoot env` prints was revoked; make one with `offshoot key create`");
	const control = await createControl({ fleet, node, log });
	teardown.add("control", () => control.close());
	for (const { name, facts } of templates) await control.registerTemplate(name, facts);
	await control.start(signal);

	await node.collectUnused();
	const closeOperator = await serveOperator(instanceId, async () => ({
		sandboxes: await control.stats(),
		pools: { containers: node.poolStats(), slots: slots.stats() },
	}));
	teardown.add("operator socket", closeOperator);
	await listen(options, control, log, teardown);
	return control;
}

async function listen(
	{ config, adminToken, tls }: ServerOptions,
	control: Control,
	log: Logger,
	teardown: Teardown,
): Promise<void> {
	const closing = new AbortController();
	teardown.add("operations", () => closing.abort());
	const { bind, port } = config;
	const edge = createEdge({ control, log });
	const api = await createApi({
		control,
		adminToken,
		log,
		domain: tls?.domain ?? config.domain ?? `localhost:${port}`,
		version: manifest.version,
		signal: closing.signal,
	});
	teardown.add("API", () => api.close());
	const door = await openFrontDoor({ api: api.handler, edge, bind, port, ...(tls && { tls }), signal: closing.signal });
	teardown.add("listener", () => door.close());
	if (tls === undefined) return;
	const following = new AbortController();
	teardown.add("certificate", () => following.abort());
	followCertificate({ config, current: tls, use: (renewed) => door.renew(renewed), log }, following.signal);
}

async function openSlots(
	{ config, instanceId }: ServerOptions,
	authority: EgressAuthority,
	log: Logger,
	signal: AbortSignal,
): Promise<SlotPool> {
	const addressRange = await claimAddressRange(instanceId, signal);
	return createSlotPool(
		{ instanceId, addressRange, ahead: SLOTS_AHEAD, max: SLOTS_MAX, operatorAllowCidrs: config.allowCidrs, authority, log },
		signal,
	);
}

type NodeParts = Omit<ConstructorParameters<typeof LocalNode>[0], "nodeId" | "cpuFeatures">;

async function openNode(parts: NodeParts, signal: AbortSignal): Promise<LocalNode> {
	const cpuFeatures = await parts.engines.current.cpuFeatures(signal);
	return new LocalNode({ ...parts, nodeId: "local", cpuFeatures });
}

function engineDirectories(dataDir: string, runtimeDir: string) {
	return { dir: join(dataDir, "engines"), runtimeDir, overlayDir: join(dataDir, "overlay") };
}

export const cleanHost: CleanHost = async ({ config, instanceId }, signal) => {
	const runtimeDir = runtimeDirectory(instanceId);
	const directories = engineDirectories(config.dataDir, runtimeDir);
	const engines = await openEngines({ ...directories, cgroups: openCgroups(instanceId) }, undefined);
	await engines.settle(signal);
	await removeContainers(engines, signal);
	await engines.destroy(signal);
	await removeInstanceNetwork(instanceId, signal);
	await rm(runtimeDir, { recursive: true, force: true });
};

async function removeContainers(engines: Engines, signal: AbortSignal): Promise<void> {
	for (const engine of engines.opened()) {
		for (const container of await engine.list(signal)) await engine.remove(container.id, signal);
	}
}
