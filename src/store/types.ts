import type { EngineBuild, ImageFile, Resources, SpecTemplate } from "../engine/index.ts";

/** What an artifact is for: a template's warm image, a user's snapshot, or the image of a paused sandbox. */
export type ArtifactKind = "template" | "snapshot" | "pause";

/**
 * `manifest.json` of an artifact. It holds everything needed to restore it, so the database can be rebuilt from it.
 * Published manifests never change.
 */
export interface Manifest {
	readonly format: 1;
	readonly kind: ArtifactKind;
	/** UUID; name of the artifact's directory. */
	readonly id: string;
	/** RFC 3339 */
	readonly createdAt: string;
	readonly source?: { readonly sandboxId: string; readonly incarnation: number };
	/** Artifact that the source was started from. */
	readonly parent?: string;
	readonly rootfs: { readonly id: string; readonly digest: string };
	readonly engine: EngineBuild;
	readonly cpuFeatures: readonly string[];
	readonly agent: { readonly version: string; readonly controlProtocol: number };
	/** Private half of the control key the captured agent trusts: Ed25519, PKCS8 DER in base64. */
	readonly controlKey: string;
	/** Generation of the captured agent; a restore from this artifact gets the next one. */
	readonly generation: number;
	/** Global environment of the captured sandbox. */
	readonly envs: Readonly<Record<string, string>>;
	readonly resources: Resources;
	readonly files: readonly ImageFile[];
	/** Bytes of guest memory in the image. */
	readonly memoryBytes: number;
	readonly pauseMs: number;
}

/** A published artifact: complete, checked and durable. */
export interface Artifact {
	readonly manifest: Manifest;
	readonly spec: SpecTemplate;
	/** Directory with the engine's image files. */
	readonly imageDir: string;
}
