import { join } from "node:path";

/** The checkout this program runs from. */
export const REPOSITORY = join(import.meta.dirname, "../..");
