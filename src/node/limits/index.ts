export { endedByLimit, watchLimits } from "./watch.ts";
