export { endedByLimit, type LimitsWatch, watchLimits } from "./watch.ts";
