/** Two templates that are always the same; changes are told back. */
import type { Control } from "../../control/index.ts";
import { CREATED_AT, TEAM } from "./known.ts";
import { page } from "./page.ts";

const BUILD = {
	id: "build-1",
	templateId: "one",
	kind: "template",
	status: "ready",
	memory: true,
	resources: { cpuCount: 2, memoryMB: 512, diskSizeMB: 1024 },
	envdVersion: "0.6.13",
	parentBuildId: undefined,
	sourceSandboxId: undefined,
	rootfsId: "rootfs",
	sizeBytes: 1,
	pauseMs: 1,
	engineVersion: "engine-1",
	envs: {},
	createdAt: CREATED_AT,
	deletedAt: undefined,
} as const;

const ASSIGNMENT = { id: "assignment-1", buildId: BUILD.id, assignedAt: CREATED_AT, buildCreatedAt: CREATED_AT };

export function fakeCatalog(): Control["catalog"] {
	const createdAt = CREATED_AT;
	const view = (id: string) => ({
		template: {
			id,
			teamId: TEAM.id,
			kind: "template",
			public: false,
			sourceSandboxId: undefined,
			createdAt,
			updatedAt: createdAt,
			deletedAt: undefined,
		} as const,
		spawnCount: 2,
		lastSpawnedAt: undefined,
		buildCount: 1,
		aliases: ["x"],
		names: ["acme/x"],
		build: BUILD,
	});
	return {
		list: async (_team, { limit, nextToken }) => page([view("one"), view("two")], limit, nextToken),
		defaults: async () => [view("base")],
		get: async (_team, ref, { limit, nextToken }) => ({ ...page([BUILD], limit, nextToken), template: view(ref) }),
		tags: async () => [{ tag: "v1", buildId: "build-1", createdAt }],
		tagGroups: async (_team, _ref, { limit, nextToken, assignmentLimit }) => {
			const groups = ["v1", "v2"].map((tag) => ({ tag, assignments: [ASSIGNMENT].slice(0, assignmentLimit), hasMore: false }));
			return page(groups, limit, nextToken);
		},
		tagAssignments: async (_team, _ref, _tag, { limit, nextToken }) => page([ASSIGNMENT, ASSIGNMENT], limit, nextToken),
		addTags: async (_team, _target, tags) => ({ buildId: "build-1", tags }),
		removeTags: async () => {},
		setVisibility: async () => ["acme/x"],
	};
}
