import type { SpecTemplate } from "../engine/index.ts";
import type { Manifest } from "./manifest.ts";

/** A published artifact: complete, checked and durable. */
export interface Artifact {
	readonly manifest: Manifest;
	readonly spec: SpecTemplate;
	/** Directory with the engine's image files. */
	readonly imageDir: string;
}

/** An artifact in the making, invisible to everyone else. Exactly one of publish and discard must end it. */
export interface Staging {
	/** For the engine to make and fill; does not exist yet. */
	readonly imageDir: string;
	/** Makes everything durable, then visible. Only an artifact whose every byte is on disk is ever listed. */
	publish(manifest: Manifest, spec: SpecTemplate): Promise<Artifact>;
	discard(): Promise<void>;
}

/** A read-only root filesystem that artifacts refer to by id. */
export interface Rootfs {
	readonly id: string;
	readonly digest: string;
	readonly path: string;
}

export interface Store {
	/** @throws OffshootError conflict when an artifact of this id exists */
	stage(id: string): Promise<Staging>;
	/** Undefined when there is none. @throws Error when it is damaged */
	open(id: string): Promise<Artifact | undefined>;
	list(): Promise<readonly Artifact[]>;
	/** No error when there is none; others never see it half deleted. */
	remove(id: string): Promise<void>;
	/** @throws OffshootError internal when it is missing */
	rootfs(id: string): Promise<Rootfs>;
	/** Registers a root filesystem by linking or copying the tree at `source.path`; one already there is kept. */
	addRootfs(source: Rootfs, signal: AbortSignal): Promise<Rootfs>;
	/** Removes every root filesystem that is not among `inUse`. */
	pruneRootfs(inUse: ReadonlySet<string>): Promise<void>;
	/** Bytes that are free on the disk of the artifacts. */
	freeBytes(): Promise<number>;
}
