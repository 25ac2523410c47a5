/** Every check of `doctor`, in the order in which they are fixed. */
import { release } from "node:os";
import { findRunsc, findTrustStore, probeForwardPolicy, probeNetdevEgress, probeNetns } from "../../engine/index.ts";
import type { Config } from "../config.ts";
import { runningServer } from "../instance/server-file.ts";
import { installLine, missingPackages } from "../prepare/packages.ts";
import type { Check } from "./check.ts";
import { checkRunsc, checkTemplates } from "./engine-checks.ts";
import {
	checkCgroups,
	checkDisk,
	checkKernel,
	checkNode,
	checkPackages,
	checkPort,
	checkRoot,
	checkTrust,
} from "./host-checks.ts";
import { checkForwarding, checkNeeded } from "./network-checks.ts";
import { probeCgroups, probeDisk, probePort, probeTemplates } from "./probes.ts";

export function hostChecks(config: Config): readonly Check[] {
	const { dataDir, cacheDir, bind, port, runscPath } = config;
	return [
		{ id: "root", title: "root", look: async () => checkRoot(process.getuid?.() ?? -1) },
		{ id: "kernel", title: "kernel", look: async () => checkKernel(release()) },
		{ id: "node", title: "Node", look: async () => checkNode(process.version) },
		{ id: "packages", title: "Debian packages", look: lookAtPackages },
		{ id: "trust", title: "trust store", look: async () => checkTrust(findTrustStore()) },
		{ id: "netns", title: "network namespaces", look: async (signal) => checkNeeded(await probeNetns(signal)) },
		{ id: "nftables", title: "nftables", look: async (signal) => checkNeeded(await probeNetdevEgress(signal)) },
		{ id: "forward", title: "forwarding", look: async (signal) => checkForwarding(await probeForwardPolicy(signal)) },
		{ id: "cgroups", title: "cgroups", look: async () => checkCgroups(await probeCgroups()) },
		{ id: "disk", title: "disk", look: async () => checkDisk(dataDir, await probeDisk(dataDir)) },
		{
			id: "port",
			title: "port",
			look: async () => {
				const [server, error] = [await runningServer(dataDir), await probePort(bind, port)];
				return checkPort({ bind, port, ownServer: server?.process.pid, error });
			},
		},
		{ id: "runsc", title: "runsc", look: async (signal) => checkRunsc(await findRunsc({ cacheDir, runscPath }, signal)) },
		{ id: "templates", title: "templates", look: async () => checkTemplates(await probeTemplates(dataDir)) },
	];
}

async function lookAtPackages(signal: AbortSignal) {
	const missing = await missingPackages(signal);
	return checkPackages(missing, installLine(missing));
}
