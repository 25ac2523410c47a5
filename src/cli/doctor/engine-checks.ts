/** Checks of what sandboxes start from. */
import type { RunscSearch } from "../../engine/index.ts";
import { type Finding, fail, ok, warn } from "./check.ts";

const OBTAIN = "./offshoot doctor --fix";

/** Present, new enough, with a version string: `search` holds only a runsc that is all of that, and why others are not. */
export function checkRunsc({ runsc, refusals }: RunscSearch): Finding {
	if (runsc !== undefined) return ok(`${runsc.version} at ${runsc.path}`);
	return fail(["no usable runsc", ...refusals].join("; "), OBTAIN);
}

const DEFAULT_TEMPLATES = ["base", "code-interpreter-v1"];

/** @param built names of the templates that have an artifact on this machine */
export function checkTemplates(built: readonly string[]): Finding {
	const missing = DEFAULT_TEMPLATES.filter((name) => !built.includes(name));
	if (missing.length === 0) return ok(`built: ${DEFAULT_TEMPLATES.join(", ")}`);
	return warn(`not built yet: ${missing.join(", ")}`, "./offshoot up builds them at its first start, which takes some minutes");
}
