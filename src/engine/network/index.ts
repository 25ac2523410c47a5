export * from "./closed.ts";
export { type EgressAuthority, openEgressAuthority } from "./egress/authority.ts";
export { isDomainPattern, isHostName } from "./egress/domains.ts";
export { PER_CONNECTION } from "./egress/header-rules.ts";
export * from "./pool.ts";
export * from "./probe.ts";
export { claimAddressRange } from "./ranges.ts";
export * from "./teardown.ts";
export * from "./types.ts";
