/** Judges what the network's own probes found. */
import type { ProbeResult } from "../../engine/index.ts";
import { type Finding, fail, ok, warn } from "./check.ts";

/** Of what every sandbox's network is made of. */
export function checkNeeded(result: ProbeResult): Finding {
	return result.ok ? ok(result.detail) : fail(result.detail, result.fix);
}

/** Sandboxes run without forwarding; they only have no internet. */
export function checkForwarding(result: ProbeResult): Finding {
	return result.ok ? ok(result.detail) : warn(`${result.detail}; sandboxes may have no internet`, result.fix);
}
