/**
 * Variables that every process of a sandbox is to get. What Linux cannot hand to a process is refused here: the sandbox
 * would start, and every command in it fail.
 */
import { OffshootError } from "../protocol/index.ts";

/** `MAX_ARG_STRLEN`: the longest `NAME=value` with its final NUL. Source: execve(2). */
const MAX_ENTRY_BYTES = 128 * 1024;
/** Half of what gVisor lets a program start with: the other half is for arguments, and variables of single commands. */
const MAX_TOTAL_BYTES = 1024 * 1024;

type Envs = Readonly<Record<string, string>>;

/**
 * @param inherited those of the template, which count too
 * @throws OffshootError invalid_request
 */
export function assertEnvs(asked: Envs, inherited: Envs = {}): void {
	for (const [name, value] of Object.entries(asked)) assertEntry(name, value);
	const total = Object.entries({ ...inherited, ...asked }).reduce((sum, [name, value]) => sum + entryBytes(name, value), 0);
	if (total <= MAX_TOTAL_BYTES) return;
	const own = Object.keys(inherited).length === 0 ? "" : " with those of the template";
	throw invalid(`envVars have ${total} bytes${own}, of ${MAX_TOTAL_BYTES} that there may be: put large values into files`);
}

function assertEntry(name: string, value: string): void {
	const named = `envVars.${name.slice(0, 100).replaceAll("\0", "\\0")}`;
	if (name === "") throw invalid("envVars: a variable needs a name");
	if (/[=\0]/.test(name)) throw invalid(`${named}: the name of a variable holds neither '=' nor NUL`);
	if (value.includes("\0")) throw invalid(`${named}: the value of a variable holds no NUL`);
	if (entryBytes(name, value) <= MAX_ENTRY_BYTES) return;
	throw invalid(`${named}: name and value have more than ${MAX_ENTRY_BYTES - 2} bytes: put the value into a file`);
}

/** `NAME=value` and a NUL. */
function entryBytes(name: string, value: string): number {
	return Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
}

function invalid(message: string): OffshootError {
	return new OffshootError("invalid_request", message);
}
