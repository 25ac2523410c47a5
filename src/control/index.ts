export type { Accounts } from "./accounts.ts";
export type { Catalog, TemplateView } from "./catalog.ts";
export type { Clock } from "./clock.ts";
export { type ControlLifecycle, type ControlOptions, createControl } from "./control.ts";
export type { Gone, Limits } from "./core.ts";
export type { Logger } from "./log.ts";
export type { PublishedTemplate } from "./templates.ts";
export * from "./types.ts";
