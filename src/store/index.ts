export { type ArtifactKind, type Manifest, parseManifest } from "./manifest.ts";
export { openStore } from "./store.ts";
export * from "./types.ts";
export { readUsage, type StoreUsage } from "./usage.ts";
