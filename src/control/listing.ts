/** Lists of a team's sandboxes and snapshots, paged by key. */
import type { SandboxRowState } from "../fleet/index.ts";
import { hasCode, OffshootError, parseTemplateRef } from "../protocol/index.ts";
import type { Core } from "./core.ts";
import { pageOf, readSandboxCursor, readSnapshotCursor, writeSandboxCursor, writeSnapshotCursor } from "./cursor.ts";
import { findOwnTemplate, resolveTemplate } from "./resolve.ts";
import { VISIBLE_AS } from "./table.ts";
import type { ListSandboxesQuery, ListSnapshotsQuery, Page, SandboxView, SnapshotView, Team } from "./types.ts";
import { viewSandboxes, viewSnapshots } from "./views.ts";

/** @throws OffshootError invalid_request */
export async function listSandboxes(
	core: Core,
	team: Team,
	query: ListSandboxesQuery,
): Promise<Page<SandboxView> & { readonly totalRunning: number }> {
	const after = query.nextToken === undefined ? undefined : readSandboxCursor(query.nextToken, query.order);
	const templateId = query.template === undefined ? undefined : await templateFilter(core, team, query.template);
	if (templateId === null) return { items: [], nextToken: undefined, totalRunning: 0 };
	const { sandboxes } = core.fleet;
	const matching = { teamId: team.id, metadata: query.metadata, startedAfter: query.startedAfter, templateId };
	const states: readonly SandboxRowState[] = query.states.flatMap((state) => VISIBLE_AS[state]);
	// One more than asked for: whether there is a next page.
	const rows = await sandboxes.list({ ...matching, states, order: query.order, limit: query.limit + 1, after });
	const { items, nextToken } = pageOf(rows, query.limit, (last) => writeSandboxCursor(last, query.order));
	return {
		items: await viewSandboxes(core.fleet, items),
		nextToken,
		totalRunning: query.states.includes("running") ? await sandboxes.count({ ...matching, states: VISIBLE_AS.running }) : 0,
	};
}

/** @throws OffshootError invalid_request */
export async function listSnapshots(core: Core, team: Team, query: ListSnapshotsQuery): Promise<Page<SnapshotView>> {
	const after = query.nextToken === undefined ? undefined : readSnapshotCursor(query.nextToken);
	const name = query.name === undefined ? {} : await nameFilter(core, team, query.name);
	if (!name) return { items: [], nextToken: undefined };
	const rows = await core.fleet.builds.listSnapshots({
		teamId: team.id,
		sourceSandboxId: query.sandboxId,
		templateId: name.templateId,
		tag: name.tag,
		limit: query.limit + 1,
		after,
	});
	const { items, nextToken } = pageOf(rows, query.limit, ({ build: { createdAt }, templateId, tag }) =>
		writeSnapshotCursor({ createdAt, templateId, tag }),
	);
	return { items: await viewSnapshots(core.fleet, items), nextToken };
}

/** @returns null when no sandbox can match */
async function templateFilter(core: Core, team: Team, text: string): Promise<string | null> {
	const ref = parseTemplateRef(text, "template");
	if (ref.tag !== undefined) {
		throw new OffshootError("invalid_request", `template '${text.slice(0, 140)}': a filter names a template without a tag`);
	}
	try {
		return (await resolveTemplate(core.fleet, team, ref)).id;
	} catch (error) {
		if (hasCode(error, "not_found") || hasCode(error, "forbidden")) return null;
		throw error;
	}
}

/** @returns undefined when no snapshot can match */
async function nameFilter(
	core: Core,
	team: Team,
	text: string,
): Promise<{ readonly templateId?: string; readonly tag?: string } | undefined> {
	const ref = parseTemplateRef(text, "name");
	if (ref.namespace !== undefined && ref.namespace !== team.slug) {
		throw new OffshootError("invalid_request", `name '${text.slice(0, 140)}': the namespace must be your team's, '${team.slug}'`);
	}
	const template = await findOwnTemplate(core.fleet, team, ref);
	return template && { templateId: template.id, ...(ref.tag !== undefined && { tag: ref.tag }) };
}
