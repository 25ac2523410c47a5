export { Cgroups, openCgroups } from "./cgroups/index.ts";
export * from "./command.ts";
export * from "./gvisor/index.ts";
export {
	type FindRunscOptions,
	findRunsc,
	type ObtainRunscOptions,
	obtainRunsc,
	type RunscSearch,
} from "./gvisor/install/index.ts";
export { FileLock } from "./host/file-lock.ts";
export {
	identifyProcess,
	isAlive,
	type ProcessIdentity,
	ProcessIdentitySchema,
	startTicksOf,
} from "./host/process-identity.ts";
export { replaceFile, replaceFileSync } from "./host/replace-file.ts";
export { type RunLinesOptions, runLines } from "./host/run-lines.ts";
export { findTrustStore, readTrustStore } from "./host/trust-store.ts";
export * from "./network/index.ts";
export * from "./types.ts";
