/** Shapes of templates on the wire. */
import { Type } from "typebox";

const Time = Type.String({ format: "date-time" });
const Size = { cpuCount: Type.Integer(), memoryMB: Type.Integer(), diskSizeMB: Type.Integer() };

const Usage = {
	templateID: Type.String(),
	public: Type.Boolean(),
	names: Type.Array(Type.String(), { description: "with namespace" }),
	aliases: Type.Array(Type.String()),
	createdAt: Time,
	updatedAt: Time,
	lastSpawnedAt: Type.Union([Time, Type.Null()]),
	spawnCount: Type.Integer(),
};

export const Template = Type.Object({
	...Usage,
	...Size,
	buildID: Type.String(),
	buildStatus: Type.Literal("ready"),
	envdVersion: Type.String(),
	createdBy: Type.Null(),
	buildCount: Type.Integer(),
});

export const TemplateBuild = Type.Object({
	...Size,
	buildID: Type.String(),
	status: Type.Literal("ready"),
	createdAt: Time,
	updatedAt: Time,
	finishedAt: Time,
	envdVersion: Type.String(),
});

export const TemplateWithBuilds = Type.Object({ ...Usage, builds: Type.Array(TemplateBuild) });

export const Tag = Type.Object({ tag: Type.String(), buildID: Type.String(), createdAt: Time });

export const TagAssignment = Type.Object({
	assignmentId: Type.String(),
	buildId: Type.String(),
	assignedAt: Time,
	buildCreatedAt: Time,
	buildFinishedAt: Time,
});

export const TagGroup = Type.Object({
	tag: Type.String(),
	assignments: Type.Array(TagAssignment, { description: "newest first" }),
	hasMore: Type.Boolean(),
});
