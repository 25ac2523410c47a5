/** From a reference to what it means to a team: its own names come before the platform's. */
import type { BuildRecord, Repositories, TemplateRecord } from "../fleet/index.ts";
import { DEFAULT_TAG, OffshootError, type TemplateRef } from "../protocol/index.ts";
import type { Team } from "./types.ts";

/** Namespace of the platform's own templates. */
export const PLATFORM_NAMESPACE = "";

type Names = Pick<Repositories, "templates">;

/** The reference without its tag, as the user wrote it: for messages. */
export function nameOf(ref: TemplateRef): string {
	return ref.namespace === undefined ? ref.alias : `${ref.namespace}/${ref.alias}`;
}

export function templateNotFound(ref: TemplateRef): OffshootError {
	return new OffshootError("not_found", `template '${nameOf(ref)}' not found`);
}

/**
 * The template that the team means, its own or a public one.
 * @throws OffshootError not_found; forbidden when it is another team's private one
 */
export async function resolveTemplate(names: Names, team: Team, ref: TemplateRef): Promise<TemplateRecord> {
	const template = await findTemplate(names, team, ref);
	if (!template) throw templateNotFound(ref);
	if (template.teamId === team.id || template.public) return template;
	throw new OffshootError("forbidden", `template '${nameOf(ref)}' belongs to another team`);
}

/**
 * One that the team may look at: all that it may start. Another team's private one looks like none.
 * @throws OffshootError not_found
 */
export async function resolveReadable(names: Names, team: Team, ref: TemplateRef): Promise<TemplateRecord> {
	const template = await findTemplate(names, team, ref);
	if (template && (template.public || template.teamId === team.id)) return template;
	throw templateNotFound(ref);
}

/**
 * The team's own template or one of the platform's: others do not exist where templates are changed, or their past is
 * looked at.
 * @throws OffshootError not_found
 */
export async function resolveVisible(names: Names, team: Team, ref: TemplateRef): Promise<TemplateRecord> {
	const template = await findTemplate(names, team, ref);
	if (template && (template.teamId === team.id || template.teamId === undefined)) return template;
	throw templateNotFound(ref);
}

/** The team's own template, or undefined. */
export async function findOwnTemplate(names: Names, team: Team, ref: TemplateRef): Promise<TemplateRecord | undefined> {
	const template = await findTemplate(names, team, ref);
	return template?.teamId === team.id ? template : undefined;
}

async function findTemplate({ templates }: Names, team: Team, ref: TemplateRef): Promise<TemplateRecord | undefined> {
	if (ref.namespace !== undefined) return templates.byAlias(ref.namespace, ref.alias);
	return (
		(await templates.byAlias(team.slug, ref.alias)) ??
		(await templates.byAlias(PLATFORM_NAMESPACE, ref.alias)) ??
		(await templates.get(ref.alias))
	);
}

/** @throws OffshootError not_found, forbidden */
export async function resolveBuild(
	repositories: Pick<Repositories, "templates" | "builds">,
	team: Team,
	ref: TemplateRef,
): Promise<{ readonly template: TemplateRecord; readonly build: BuildRecord }> {
	const template = await resolveTemplate(repositories, team, ref);
	const tag = ref.tag ?? DEFAULT_TAG;
	const build = await repositories.builds.byTag(template.id, tag);
	if (!build) throw new OffshootError("not_found", `tag '${tag}' does not exist for template '${nameOf(ref)}'`);
	return { template, build };
}
