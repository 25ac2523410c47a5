export { createKey, createTeam, maskedKey, renameKey, revokeKey } from "./accounts.ts";
export type { NewBuild, SnapshotRecord } from "./builds.ts";
export type { NetworkRecord } from "./columns.ts";
export { type Fleet, openFleet, type Repositories } from "./fleet.ts";
export type * from "./records.ts";
export type { RepeatableRequest } from "./requests.ts";
export type { SandboxPatch } from "./sandbox-row.ts";
export type { Expected } from "./sandboxes.ts";
export type { AliasRecord } from "./templates.ts";
