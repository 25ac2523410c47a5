export { type EngineSource, type Engines, openEngines } from "./engines.ts";
export { DamagedImageError } from "./image.ts";
export { ENGINE_BYTES, HEAD_ROOM_BYTES } from "./room.ts";
