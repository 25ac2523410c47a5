import { type Static, Type } from "typebox";
import { Value } from "typebox/value";

/**
 * `manifest.json` of an artifact. It holds everything needed to restore it, so the database could be rebuilt from the
 * artifacts alone. Published manifests never change.
 */
const BuildSchema = Type.Object({ version: Type.String(), sha256: Type.String() });

const Fields = {
	/** A template's warm image, a user's snapshot, or the image of a paused sandbox. */
	kind: Type.Union([Type.Literal("template"), Type.Literal("snapshot"), Type.Literal("pause")]),
	/** UUID; name of the artifact's directory. */
	id: Type.String(),
	/** RFC 3339 */
	createdAt: Type.String(),
	source: Type.Optional(Type.Object({ sandboxId: Type.String(), incarnation: Type.Integer() })),
	/** Artifact that the source was started from. */
	parent: Type.Optional(Type.String()),
	rootfs: Type.Object({ id: Type.String(), digest: Type.String() }),
	/** Binary that wrote the image, the only one that may restore it. */
	engine: BuildSchema,
	/** Features that the captured processes may rely on. */
	cpuFeatures: Type.Array(Type.String()),
	agent: Type.Object({ version: Type.String(), controlProtocol: Type.Integer() }),
	/** Private half of the control key that the captured agent trusts: Ed25519, PKCS8 DER in base64. */
	controlKey: Type.String(),
	/** Generation of the captured agent; a restore from this artifact gets the next one. */
	generation: Type.Integer({ minimum: 0 }),
	/** Global environment of the captured sandbox. */
	envs: Type.Record(Type.String(), Type.String()),
	resources: Type.Object({ cpuCount: Type.Integer(), memoryMB: Type.Integer(), diskSizeMB: Type.Integer() }),
	/** Name of the built-in or user template, for `kind: template`. */
	templateName: Type.Optional(Type.String()),
	files: Type.Array(Type.Object({ name: Type.String(), size: Type.Integer({ minimum: 0 }) })),
	/** Bytes of guest memory in the image. */
	memoryBytes: Type.Integer({ minimum: 0 }),
	/** Upper bound of the source's stall, ms. */
	pauseMs: Type.Number(),
	/** SHA-256 of the certificates that the captured guest was given. */
	trust: Type.Optional(Type.String()),
};

/** Knew images of memory only. */
const Format1 = Type.Object({ format: Type.Literal(1), ...Fields });

const ManifestSchema = Type.Object({
	format: Type.Literal(2),
	...Fields,
	/** False: the image holds the files that differ from the root filesystem, and a start from it is a cold one. */
	memory: Type.Boolean(),
	/** The captured agent did not answer just before: what was captured may not work. */
	agentUnresponsive: Type.Optional(Type.Boolean()),
});

/** What is written today; older formats are read as this one. */
export type Manifest = Static<typeof ManifestSchema>;
export type ArtifactKind = Manifest["kind"];

/** @throws Error naming the field that is wrong */
export function parseManifest(text: string, path: string): Manifest {
	const parsed: unknown = JSON.parse(text);
	if (Value.Check(ManifestSchema, parsed)) return parsed;
	if (Value.Check(Format1, parsed)) return { ...parsed, format: 2, memory: true };
	const [first] = Value.Errors(ManifestSchema, parsed);
	throw new Error(`${path}: ${first?.instancePath ?? ""} ${first?.message ?? "is no manifest of a known format"}`);
}
