export { adopt } from "./adopt.ts";
export { HostProbe } from "./host-facts.ts";
export { LocalNode } from "./node.ts";
export type { NodeOptions } from "./options.ts";
export { openRecords } from "./records.ts";
export { buildRootfs, digestIngredients, type Ingredients, noteUse, removeUnused } from "./rootfs/index.ts";
export { buildTemplate, type TemplateSource } from "./template-build.ts";
export { readHostTrust, type Trust } from "./trust.ts";
export * from "./types.ts";
