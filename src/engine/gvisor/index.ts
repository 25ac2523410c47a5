export { type EngineSource, type Engines, openEngines } from "./engines.ts";
export { DamagedImageError } from "./image.ts";
