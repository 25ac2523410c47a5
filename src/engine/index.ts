export * from "./network/types.ts";
export * from "./types.ts";
