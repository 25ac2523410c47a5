/** Where tags have pointed, for those who look for an earlier build. What was deleted has no history. */
import type { AssignedTag, TagAssignment, TagSort } from "../fleet/index.ts";
import { parseTag, parseTemplateRef } from "../protocol/index.ts";
import type { Core } from "./core.ts";
import { pageOf, readPosition, readTagCursor, writePosition, writeTagCursor } from "./cursor.ts";
import { resolveVisible } from "./resolve.ts";
import type { Page, Team } from "./types.ts";

export interface TagGroupsQuery {
	/** Part of the tag's name. */
	readonly search: string | undefined;
	readonly sort: TagSort;
	readonly limit: number;
	readonly nextToken: string | undefined;
	/** Of each tag. */
	readonly assignmentLimit: number;
}

export interface TagGroup {
	readonly tag: string;
	/** Newest first. */
	readonly assignments: readonly TagAssignment[];
	/** Whether there are older ones. */
	readonly hasMore: boolean;
}

export interface TagHistory {
	/** @throws OffshootError not_found, invalid_request */
	tagGroups(team: Team, templateRef: string, query: TagGroupsQuery): Promise<Page<TagGroup>>;
	/** Newest first; none of a tag that is not there. @throws OffshootError not_found, invalid_request */
	tagAssignments(
		team: Team,
		templateRef: string,
		tag: string,
		page: { readonly limit: number; readonly nextToken: string | undefined },
	): Promise<Page<TagAssignment>>;
}

export function tagHistoryOf({ fleet }: Core): TagHistory {
	const { tagHistory } = fleet;
	return {
		tagGroups: async (team, templateRef, query) => {
			const { id: templateId } = await resolveVisible(fleet, team, parseTemplateRef(templateRef, "templateID"));
			const rows = await tagHistory.tags({
				templateId,
				search: query.search?.trim().toLowerCase(),
				sort: query.sort,
				limit: query.limit + 1,
				after: query.nextToken === undefined ? undefined : readTagCursor(query.nextToken),
			});
			const { items, nextToken } = pageOf(rows, query.limit, writeTagCursor);
			const group = async ({ tag }: AssignedTag): Promise<TagGroup> => {
				const found = await tagHistory.assignments({ templateId, tag, limit: query.assignmentLimit + 1, after: undefined });
				return { tag, assignments: found.slice(0, query.assignmentLimit), hasMore: found.length > query.assignmentLimit };
			};
			return { items: await Promise.all(items.map(group)), nextToken };
		},
		tagAssignments: async (team, templateRef, tag, { limit, nextToken }) => {
			const { id: templateId } = await resolveVisible(fleet, team, parseTemplateRef(templateRef, "templateID"));
			const after = nextToken === undefined ? undefined : readPosition(nextToken);
			const rows = await tagHistory.assignments({
				templateId,
				tag: parseTag(tag, "tag"),
				limit: limit + 1,
				after: after && { assignedAt: after.createdAt, id: after.id },
			});
			return pageOf(rows, limit, ({ assignedAt, id }) => writePosition({ createdAt: assignedAt, id }));
		},
	};
}
