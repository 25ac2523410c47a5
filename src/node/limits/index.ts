export { ImageWriting, type ImageWritingOptions } from "./image-writing.ts";
export { endedByLimit, type LimitsWatch, watchLimits } from "./watch.ts";
