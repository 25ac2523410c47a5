export type { EdgeControl } from "./admission.ts";
export { createEdge, type Edge, type EdgeOptions } from "./edge.ts";
export { type FrontDoor, type FrontDoorOptions, openFrontDoor } from "./front-door.ts";
export type { TlsOptions } from "./tls-listener.ts";
