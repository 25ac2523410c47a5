/** What the host tells a sandbox's init through the environment of its spec. */
import type { SpecTemplate } from "../engine/index.ts";

const CONTROL_KEY = "OFFSHOOT_CONTROL_KEY";
const INTERPRETER = "OFFSHOOT_INTERPRETER";

/** @param controlKey public half of the key that the agent trusts first */
export function initEnv(controlKey: string, options: { readonly interpreter: boolean }): Record<string, string> {
	return { ...firstKeyEnv(controlKey), [INTERPRETER]: options.interpreter ? "1" : "0" };
}

export function firstKeyEnv(controlKey: string): Record<string, string> {
	return { [CONTROL_KEY]: controlKey };
}

/** True if init starts the code interpreter. */
export function startsInterpreter({ process }: SpecTemplate): boolean {
	if (typeof process !== "object" || process === null || !("env" in process) || !Array.isArray(process.env)) return false;
	return process.env.includes(`${INTERPRETER}=1`);
}
