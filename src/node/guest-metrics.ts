/** What a guest agent tells of its sandbox, checked: whoever is root in there may have put another in its place. */
import { Type } from "typebox";
import { Value } from "typebox/value";
import type { GuestMetrics } from "./types.ts";

const Amount = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Source: GET /metrics of envd, E2B wire protocol. */
const Answer = Type.Object({
	cpu_count: Amount,
	cpu_used_pct: Amount,
	mem_total: Amount,
	mem_used: Amount,
	mem_cache: Amount,
	disk_used: Amount,
	disk_total: Amount,
});

/** @throws when it is something else */
export function readGuestMetrics(text: string, limits: { readonly memoryMB: number }): GuestMetrics {
	const answer: unknown = JSON.parse(text);
	if (!Value.Check(Answer, answer)) throw new Error("the guest's metrics are not in the agreed form");
	return {
		cpuCount: Math.round(answer.cpu_count),
		cpuUsedPct: answer.cpu_used_pct,
		// The guest's kernel may count the host's memory; the sandbox has its own share of it.
		memTotal: Math.min(Math.round(answer.mem_total), limits.memoryMB * 1024 * 1024),
		memUsed: Math.round(answer.mem_used),
		memCache: Math.round(answer.mem_cache),
		diskUsed: Math.round(answer.disk_used),
		diskTotal: Math.round(answer.disk_total),
	};
}
