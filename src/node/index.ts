export { adopt } from "./adopt.ts";
export { HostProbe } from "./host-facts.ts";
export { LocalNode, type NodeOptions } from "./node.ts";
export { openRecords } from "./records.ts";
export { buildRootfs, digestIngredients, type Ingredients } from "./rootfs/index.ts";
export { buildTemplate, type TemplateSource } from "./template-build.ts";
export { readHostTrust, type Trust } from "./trust.ts";
export * from "./types.ts";
