/** How templates look on the wire. */
import type { Static } from "typebox";
import type { Catalog, TemplateView } from "../control/index.ts";
import type * as schemas from "./template-schemas.ts";

type Build = Awaited<ReturnType<Catalog["get"]>>["items"][number];

function usage(view: TemplateView) {
	return {
		templateID: view.template.id,
		public: view.template.public,
		names: [...view.names],
		aliases: [...view.aliases],
		createdAt: view.template.createdAt.toISOString(),
		updatedAt: view.template.updatedAt.toISOString(),
		lastSpawnedAt: view.lastSpawnedAt?.toISOString() ?? null,
		spawnCount: view.spawnCount,
	};
}

export function template(view: TemplateView): Static<typeof schemas.Template> {
	const { build } = view;
	return {
		...usage(view),
		...build.resources,
		buildID: build.id,
		buildStatus: build.status,
		envdVersion: build.envdVersion,
		createdBy: null,
		buildCount: view.buildCount,
	};
}

export function templateWithBuilds(view: TemplateView, builds: readonly Build[]): Static<typeof schemas.TemplateWithBuilds> {
	return { ...usage(view), builds: builds.map(templateBuild) };
}

function templateBuild(build: Build): Static<typeof schemas.TemplateBuild> {
	const at = build.createdAt.toISOString();
	return {
		...build.resources,
		buildID: build.id,
		status: build.status,
		createdAt: at,
		updatedAt: at,
		finishedAt: at,
		envdVersion: build.envdVersion,
	};
}
