/** Settings of the interpreter, read from the environment once at start. */

import { AGENT_PORT, INTERPRETER_NOTICE_PORT, INTERPRETER_PORT, JAVA_KERNEL } from "../../../src/protocol/agent.ts";

export interface Settings {
	readonly host: string;
	readonly port: number;
	/** Port of the loopback server that takes notices from the agent. */
	readonly internalPort: number;
	readonly agentPort: number;
	/** The Python that runs ipykernel: a path or a name on PATH. */
	readonly python: string;
	/** Command prefix that runs a JavaScript file in Node. The guest starts Node through a loader, so execPath is not enough. */
	readonly nodeCommand: readonly string[];
	/** The archive (.jar) of the Java kernel, where a template has it. */
	readonly javaKernel: string;
	/** Directory for kernel sockets; emptied at start. Short, since a socket path has at most 107 bytes. */
	readonly runtimeDirectory: string;
	/** Working directory of contexts that name none. */
	readonly defaultCwd: string;
	/** Environment that kernels start with. */
	readonly kernelEnvironment: Readonly<Record<string, string>>;
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Reads the settings; throws an Error that names the variable it cannot read. */
export function readSettings(variables: Variables): Settings {
	return {
		host: variables.OFFSHOOT_INTERPRETER_HOST ?? "0.0.0.0",
		port: readPort(variables, "OFFSHOOT_INTERPRETER_PORT", INTERPRETER_PORT),
		internalPort: readPort(variables, "OFFSHOOT_INTERPRETER_INTERNAL_PORT", INTERPRETER_NOTICE_PORT),
		agentPort: readPort(variables, "OFFSHOOT_AGENT_PORT", AGENT_PORT),
		python: variables.OFFSHOOT_PYTHON ?? "python3",
		nodeCommand: readCommand(variables, "OFFSHOOT_NODE_COMMAND", [process.execPath]),
		javaKernel: variables.OFFSHOOT_JAVA_KERNEL ?? JAVA_KERNEL,
		runtimeDirectory: variables.OFFSHOOT_INTERPRETER_RUN ?? "/run/offshoot/interpreter",
		defaultCwd: variables.OFFSHOOT_INTERPRETER_CWD ?? "/home/user",
		kernelEnvironment: kernelEnvironment(variables),
	};
}

/** What every kernel can rely on, whatever starts the interpreter. */
const KERNEL_DEFAULTS = {
	HOME: "/root",
	PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	LANG: "C.UTF-8",
};

/** What the kernels inherit: everything but the settings of Offshoot itself. */
export function kernelEnvironment(variables: Variables): Record<string, string> {
	const kept = Object.entries(variables).filter(
		(entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith("OFFSHOOT_"),
	);
	return { ...KERNEL_DEFAULTS, ...Object.fromEntries(kept) };
}

function readPort(variables: Variables, name: string, fallback: number): number {
	const text = variables[name];
	if (text === undefined) return fallback;
	const port = Number(text);
	if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error(`${name}: "${text}" is not a port`);
	return port;
}

function readCommand(variables: Variables, name: string, fallback: readonly string[]): readonly string[] {
	const text = variables[name];
	if (text === undefined) return fallback;
	const value: unknown = JSON.parse(text);
	if (!Array.isArray(value) || value.length === 0 || !value.every((part) => typeof part === "string")) {
		throw new Error(`${name}: expected a JSON array of strings, got ${text}`);
	}
	return value;
}
