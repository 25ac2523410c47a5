export { ImageWriting } from "./image-writing.ts";
export { endedByLimit, type LimitsWatch, watchLimits } from "./watch.ts";
