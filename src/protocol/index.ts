export * from "./agent.ts";
export * from "./errors.ts";
export * from "./http.ts";
export * from "./ids.ts";
export * from "./names.ts";
export * from "./paths.ts";
export * from "./preflight.ts";
export * from "./secrets.ts";
