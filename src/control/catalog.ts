/** Templates as their users see them: listing, builds, tags, visibility. Building them is elsewhere. */
import type { BuildRecord, TagRecord, TemplateRecord, TemplateSummary, Visibility } from "../fleet/index.ts";
import { DEFAULT_TAG, OffshootError, parseTag, parseTemplateRef, type TemplateRef } from "../protocol/index.ts";
import { type Core, now } from "./core.ts";
import { pageOf, readPosition, writePosition } from "./cursor.ts";
import { nameOf, resolveBuild, resolveReadable, resolveVisible } from "./resolve.ts";
import { type TagHistory, tagHistoryOf } from "./tag-history.ts";
import type { Page, Team } from "./types.ts";

export interface TemplateView extends Omit<TemplateSummary, "aliases"> {
	/** With namespace, as the platform's own have none. */
	readonly names: readonly string[];
	readonly aliases: readonly string[];
}

export interface TagsChange {
	readonly buildId: string;
	readonly tags: readonly string[];
}

export interface CatalogPage {
	readonly limit: number;
	readonly nextToken: string | undefined;
}

/**
 * References take every form: id, alias, namespace/alias. Of another team's templates the public ones can be looked at,
 * without how often they are used; for all else here they do not exist.
 */
export interface Catalog extends TagHistory {
	/** The team's templates and the platform's, newest first; snapshots have a list of their own. */
	list(team: Team, page: CatalogPage): Promise<Page<TemplateView>>;
	/** The platform's own, newest first. */
	defaults(): Promise<readonly TemplateView[]>;
	/** @throws OffshootError not_found */
	get(team: Team, templateRef: string, page: CatalogPage): Promise<Page<BuildRecord> & { readonly template: TemplateView }>;
	/** @throws OffshootError not_found */
	tags(team: Team, templateRef: string): Promise<readonly TagRecord[]>;
	/** Points tags at the build that `target` means. @throws OffshootError invalid_request, not_found, forbidden */
	addTags(team: Team, target: string, tags: readonly string[]): Promise<TagsChange>;
	/** @throws OffshootError invalid_request, not_found, forbidden */
	removeTags(team: Team, templateRef: string, tags: readonly string[]): Promise<void>;
	/** @returns its names. @throws OffshootError not_found, forbidden for the platform's own */
	setVisibility(team: Team, templateRef: string, visibility: Visibility): Promise<readonly string[]>;
}

/** The platform has a handful. */
const MAX_DEFAULTS = 1_000;

export function catalogOf(core: Core): Catalog {
	const { catalog } = core.fleet;
	return {
		...tagHistoryOf(core),
		list: async (team, { limit, nextToken }) => {
			const rows = await catalog.list({
				teamId: team.id,
				limit: limit + 1,
				after: nextToken === undefined ? undefined : readPosition(nextToken),
			});
			return pageOf(rows.map(toView), limit, ({ template }) => writePosition(template));
		},
		defaults: async () => (await catalog.list({ teamId: undefined, limit: MAX_DEFAULTS, after: undefined })).map(toView),
		get: async (team, templateRef, { limit, nextToken }) => {
			const { id } = await resolveReadable(core.fleet, team, parseTemplateRef(templateRef, "templateID"));
			const after = nextToken === undefined ? undefined : readPosition(nextToken);
			const builds = await catalog.builds({ templateId: id, limit: limit + 1, after });
			return { ...pageOf(builds, limit, writePosition), template: shownTo(team, await view(core, id)) };
		},
		tags: async (team, templateRef) =>
			catalog.tags((await resolveReadable(core.fleet, team, parseTemplateRef(templateRef, "templateID"))).id),
		addTags: (team, target, tags) => addTags(core, team, target, tags),
		removeTags: (team, templateRef, tags) => removeTags(core, team, templateRef, tags),
		setVisibility: async (team, templateRef, visibility) => {
			core.assertOpen();
			const template = await own(core, team, parseTemplateRef(templateRef, "templateID"));
			await catalog.setVisibility(template.id, visibility, now(core));
			return (await view(core, template.id)).names;
		},
	};
}

async function addTags(core: Core, team: Team, target: string, wanted: readonly string[]): Promise<TagsChange> {
	core.assertOpen();
	const ref = parseTemplateRef(target, "target");
	const tags = checkTags(wanted);
	const template = await own(core, team, ref);
	return core.fleet.transaction(async (repositories) => {
		const { build } = await resolveBuild(repositories, team, ref);
		for (const tag of tags) {
			await repositories.templates.moveTag({ templateId: template.id, tag, buildId: build.id, at: now(core) });
		}
		return { buildId: build.id, tags };
	});
}

async function removeTags(core: Core, team: Team, templateRef: string, wanted: readonly string[]): Promise<void> {
	core.assertOpen();
	const ref = parseTemplateRef(templateRef, "name");
	if (ref.tag !== undefined)
		throw new OffshootError("invalid_request", `name '${nameOf(ref)}:${ref.tag}': leave the tag out; tags says which`);
	const tags = checkTags(wanted);
	if (tags.includes(DEFAULT_TAG)) throw new OffshootError("invalid_request", `the tag '${DEFAULT_TAG}' cannot be deleted`);
	const template = await own(core, team, ref);
	const removed = await core.fleet.transaction(({ catalog }) => catalog.removeTags(template.id, tags));
	if (removed === 0) {
		throw new OffshootError("not_found", `template '${nameOf(ref)}' has none of the tags ${tags.join(", ")}`);
	}
}

function checkTags(tags: readonly string[]): readonly string[] {
	if (tags.length === 0) throw new OffshootError("invalid_request", "tags must name at least one tag");
	return [...new Set(tags.map((tag) => parseTag(tag, "tags")))];
}

/** One that the team may change. */
async function own(core: Core, team: Team, ref: TemplateRef): Promise<TemplateRecord> {
	const template = await resolveVisible(core.fleet, team, ref);
	if (template.teamId === team.id) return template;
	throw new OffshootError("forbidden", `template '${nameOf(ref)}' is the platform's and cannot be changed by a team`);
}

async function view(core: Core, templateId: string): Promise<TemplateView> {
	const summary = await core.fleet.catalog.summary(templateId);
	if (!summary) throw new OffshootError("not_found", `template '${templateId}' not found`);
	return toView(summary);
}

/** How often another team's template is used, and when, is that team's to know. */
function shownTo(team: Team, shown: TemplateView): TemplateView {
	const { teamId } = shown.template;
	if (teamId === undefined || teamId === team.id) return shown;
	return { ...shown, spawnCount: 0, lastSpawnedAt: undefined };
}

function toView(summary: TemplateSummary): TemplateView {
	return {
		...summary,
		aliases: summary.aliases.map(({ alias }) => alias),
		names: summary.aliases.map(({ namespace, alias }) => (namespace === "" ? alias : `${namespace}/${alias}`)),
	};
}
