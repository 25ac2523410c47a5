export * from "./command.ts";
export * from "./gvisor/index.ts";
export * from "./network/types.ts";
export * from "./types.ts";
