export * from "./closed.ts";
export { isDomainPattern, isHostName } from "./egress/domains.ts";
export * from "./pool.ts";
export * from "./probe.ts";
export { claimAddressRange, releaseAddressRange } from "./ranges.ts";
export * from "./teardown.ts";
export * from "./types.ts";
