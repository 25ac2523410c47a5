/** Templates as a whole: publishing the platform's own, deleting, looking one up by name. */
import type { Repositories } from "../fleet/index.ts";
import type { ArtifactFacts } from "../node/index.ts";
import { DEFAULT_TAG, ENVD_VERSION, newTemplateId, OffshootError, parseTemplateRef } from "../protocol/index.ts";
import { type Core, deleteArtifact, now } from "./core.ts";
import { nameOf, PLATFORM_NAMESPACE, resolveBuild, resolveTemplate, templateNotFound } from "./resolve.ts";
import type { Team, TemplateAlias } from "./types.ts";

export interface PublishedTemplate {
	readonly templateId: string;
	/** Id of the artifact that new sandboxes start from. */
	readonly buildId: string;
}

/**
 * Publishes a template of the platform under a name without namespace. Publishing the same artifact again changes
 * nothing; another one becomes the template's current build, and builds that no sandbox is based on go.
 */
export async function registerTemplate(core: Core, name: string, facts: ArtifactFacts): Promise<PublishedTemplate> {
	const { published, superseded } = await core.fleet.transaction(async (repositories) => {
		const templateId = await platformTemplate(core, repositories, name);
		const current = await repositories.builds.byTag(templateId, DEFAULT_TAG);
		if (current?.id !== facts.artifactId) await publish(core, repositories, templateId, facts);
		const superseded = await repositories.builds.superseded(templateId);
		for (const buildId of superseded) await repositories.builds.bury(buildId, now(core));
		return { published: { templateId, buildId: facts.artifactId }, superseded };
	});
	for (const artifactId of superseded) await deleteArtifact(core, artifactId);
	return published;
}

async function platformTemplate(core: Core, { templates }: Repositories, name: string): Promise<string> {
	const known = await templates.byAlias(PLATFORM_NAMESPACE, name);
	if (known) return known.id;
	const id = newTemplateId();
	const createdAt = now(core);
	await templates.insert({ id, teamId: undefined, kind: "template", public: true, sourceSandboxId: undefined, createdAt });
	await templates.addAlias({ namespace: PLATFORM_NAMESPACE, alias: name, templateId: id, createdAt });
	return id;
}

async function publish(core: Core, repositories: Repositories, templateId: string, facts: ArtifactFacts): Promise<void> {
	await repositories.builds.insert({
		id: facts.artifactId,
		templateId,
		kind: facts.kind,
		resources: facts.resources,
		envdVersion: ENVD_VERSION,
		parentBuildId: undefined,
		sourceSandboxId: undefined,
		rootfsId: facts.rootfsId,
		sizeBytes: facts.sizeBytes,
		memory: facts.memory,
		pauseMs: facts.pauseMs,
		engineVersion: facts.engineVersion,
		envs: facts.envs,
		createdAt: new Date(facts.createdAt),
	});
	await repositories.templates.moveTag({ templateId, tag: DEFAULT_TAG, buildId: facts.artifactId, at: now(core) });
}

/**
 * Deletes a template or snapshot with all its builds; a tag in the reference is ignored.
 * @throws OffshootError not_found; invalid_request when a sandbox is based on it; forbidden for the platform's own
 */
export async function deleteTemplate(core: Core, team: Team, templateRef: string): Promise<void> {
	core.assertOpen();
	const ref = parseTemplateRef(templateRef, "templateID");
	const artifacts = await core.fleet.transaction(async (repositories) => {
		const template = await resolveTemplate(repositories, team, ref).catch((error: unknown) => {
			if (error instanceof OffshootError) throw templateNotFound(ref);
			throw error;
		});
		if (template.teamId !== team.id) {
			throw new OffshootError("forbidden", `template '${nameOf(ref)}' is not your team's and cannot be deleted by it`);
		}
		if (await repositories.sandboxes.isTemplateInUse(template.id)) {
			throw new OffshootError(
				"invalid_request",
				`cannot delete template '${nameOf(ref)}' because there are running/paused sandboxes using it`,
			);
		}
		return repositories.templates.bury(template.id, now(core));
	});
	for (const artifactId of artifacts) await deleteArtifact(core, artifactId);
}

/** @throws OffshootError not_found, also for a tag that is not there; forbidden when it is another team's private one */
export async function templateAlias(core: Core, team: Team, alias: string): Promise<TemplateAlias> {
	const ref = parseTemplateRef(alias, "alias");
	const template =
		ref.tag === undefined ? await resolveTemplate(core.fleet, team, ref) : (await resolveBuild(core.fleet, team, ref)).template;
	return { templateId: template.id, public: template.public };
}
