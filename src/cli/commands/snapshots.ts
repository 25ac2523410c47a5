/** A team's snapshots, as the running server has them: it alone knows what is in use. */
import { type Static, Type } from "typebox";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { OperatorApi } from "../instance/operator-api.ts";
import { requireRoot } from "../prepare/index.ts";
import { formatBytes, formatTable } from "../terminal/table.ts";
import type { TeamChoice } from "./accounts.ts";

const Snapshot = Type.Object({
	snapshotID: Type.String(),
	names: Type.Array(Type.String()),
	templateID: Type.String(),
	createdAt: Type.String(),
	sourceSandboxID: Type.Optional(Type.String()),
	sizeBytes: Type.Integer(),
	memory: Type.Boolean(),
});
type Snapshot = Static<typeof Snapshot>;

export async function snapshotList(
	config: Config,
	{ team, json }: TeamChoice & { readonly json: boolean },
	signal: AbortSignal,
): Promise<void> {
	requireRoot("snapshot list");
	const snapshots = await listAll(await OperatorApi.of(config.dataDir, team, signal));
	process.stdout.write(json ? `${JSON.stringify(snapshots, null, 2)}\n` : table(snapshots));
}

/** Prints what is gone: all snapshots of a name if that was given. */
export async function snapshotDelete(config: Config, ref: string, { team }: TeamChoice, signal: AbortSignal): Promise<void> {
	requireRoot("snapshot delete");
	const api = await OperatorApi.of(config.dataDir, team, signal);
	const meant = choose(await listAll(api), ref);
	await api.delete(`/templates/${encodeURIComponent(meant.templateID)}`);
	process.stdout.write(meant.ids.map((id) => `${id}\n`).join(""));
}

async function listAll(api: OperatorApi): Promise<readonly Snapshot[]> {
	const found: Snapshot[] = [];
	let nextToken: string | undefined;
	do {
		const query = nextToken === undefined ? "" : `?nextToken=${encodeURIComponent(nextToken)}`;
		const page = await api.get(`/snapshots${query}`, Type.Array(Snapshot));
		found.push(...page.items);
		nextToken = page.nextToken;
	} while (nextToken !== undefined);
	return found;
}

/**
 * What a reference means to delete. Snapshots that share a name go together, so one of several is refused.
 * @param ref id of a snapshot, or a name without tag
 * @throws OffshootError not_found, invalid_request
 */
export function choose(
	snapshots: readonly Snapshot[],
	ref: string,
): { readonly templateID: string; readonly ids: readonly string[] } {
	const one = snapshots.find(({ snapshotID }) => snapshotID === ref);
	const any = one ?? snapshots.find(({ names, templateID }) => names.includes(ref) || templateID === ref);
	if (any === undefined) throw new OffshootError("not_found", `there is no snapshot '${ref}'. FIX: ./offshoot snapshot list`);
	const together = snapshots.filter(({ templateID }) => templateID === any.templateID).map(({ snapshotID }) => snapshotID);
	if (one !== undefined && together.length > 1) {
		throw new OffshootError(
			"invalid_request",
			`snapshots of one name are deleted together: ${together.join(", ")}. FIX: ./offshoot snapshot delete ${any.names[0] ?? any.templateID}`,
		);
	}
	return { templateID: any.templateID, ids: together };
}

function table(snapshots: readonly Snapshot[]): string {
	const rows = snapshots.map(({ snapshotID, names, sourceSandboxID, createdAt, sizeBytes, memory }) => [
		snapshotID,
		names[0] ?? "",
		sourceSandboxID ?? "",
		createdAt,
		formatBytes(sizeBytes),
		memory ? "memory and files" : "files",
	]);
	return formatTable(process.stdout, ["ID", "NAME", "SOURCE", "CREATED", "SIZE", "HOLDS"], rows);
}
