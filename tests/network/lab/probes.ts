/** Runs doctor's network probes and sends what they found. Argument: PATH to search programs in; empty leaves it. */
import { probeForwardPolicy, probeNetdevEgress, probeNetns } from "../../../src/engine/network/index.ts";

if (process.argv[2]) process.env.PATH = process.argv[2];

const signal = AbortSignal.timeout(30_000);
process.send?.(
	{
		netns: await probeNetns(signal),
		netdevEgress: await probeNetdevEgress(signal),
		forwardPolicy: await probeForwardPolicy(signal),
	},
	() => process.exit(0),
);
