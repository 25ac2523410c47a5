/**
 * How this machine reaches the package sources: proxies, certificates, package indexes. A build step inside a new root
 * filesystem is told the same through its environment, for as long as it runs; nothing of it is written to the tree.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { CommandError, findTrustStore } from "../../engine/index.ts";
import { run } from "./run.ts";

/** Where chroot.sh shows files of this machine inside the tree. */
export const HOST_PATHS = "/tmp/host/paths";

export interface HostNetwork {
	/** Environment for a step inside the tree; its paths point below HOST_PATHS. */
	readonly env: Readonly<Record<string, string>>;
	/** Files and directories of this machine that `env` refers to. */
	readonly paths: readonly string[];
}

const PROXY_VARIABLES = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"].flatMap((name) => [name, name.toUpperCase()]);
const CERTIFICATE_VARIABLES = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
/** Only what says how to reach an index: settings such as `user` or `target` would change where packages go. */
const PIP_SETTINGS = [
	"cert",
	"client-cert",
	"default-timeout",
	"extra-index-url",
	"find-links",
	"index-url",
	"no-index",
	"proxy",
	"retries",
	"timeout",
	"trusted-host",
];

/** Reads the settings of this machine from `env` and pip's configuration files. */
export async function readHostNetwork(env: NodeJS.ProcessEnv): Promise<HostNetwork> {
	const bundle = findTrustStore();
	const settings = {
		...(bundle && { SSL_CERT_FILE: bundle, PIP_CERT: bundle }),
		...(await pipFileSettings(env)),
		...pick(env, [...PROXY_VARIABLES, ...CERTIFICATE_VARIABLES, ...PIP_SETTINGS.map(pipVariable)]),
	};
	return moveHostPaths(settings);
}

/** apt's settings as aptAcquireSettings gives them, for a step inside the tree. */
export function moveAptPaths(settings: string): { readonly settings: string; readonly paths: readonly string[] } {
	const paths: string[] = [];
	const moved = settings.replace(/ "(\/[^"]*)";$/gm, (line, path: string) => {
		if (!existsSync(path)) return line;
		paths.push(path);
		return ` "${HOST_PATHS}${path}";`;
	});
	return { settings: moved, paths };
}

/** Rewrites every absolute path that exists on this machine to where chroot.sh shows it. */
export function moveHostPaths(settings: Readonly<Record<string, string>>): HostNetwork {
	const paths = new Set<string>();
	const move = (word: string): string => {
		if (!word.startsWith("/") || !existsSync(word)) return word;
		paths.add(word);
		return HOST_PATHS + word;
	};
	const moved = Object.entries(settings).map(([name, value]) => [name, value.split(/\s+/).map(move).join(" ")]);
	return { env: Object.fromEntries(moved), paths: [...paths] };
}

async function pipFileSettings(env: NodeJS.ProcessEnv): Promise<Record<string, string>> {
	const home = env.HOME ?? homedir();
	const files = [
		"/etc/pip.conf",
		join(home, ".pip/pip.conf"),
		join(env.XDG_CONFIG_HOME ?? join(home, ".config"), "pip/pip.conf"),
		...(env.PIP_CONFIG_FILE ? [env.PIP_CONFIG_FILE] : []),
	];
	const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
	return Object.assign({}, ...texts.map(parsePipConfig));
}

/** The settings of a pip configuration file that say how to reach an index, as the environment variables pip reads. */
export function parsePipConfig(text: string): Record<string, string> {
	const settings: Record<string, string> = {};
	let section = "";
	let current: string | undefined;
	for (const line of text.split("\n")) {
		if (/^\s*([#;].*)?$/.test(line)) continue;
		if (current && /^\s/.test(line)) {
			settings[current] = `${settings[current]} ${line.trim()}`.trim();
			continue;
		}
		current = undefined;
		section = /^\[(.+)\]/.exec(line)?.[1] ?? section;
		const [, name = "", value = ""] = /^([\w-]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
		if (!["global", "install"].includes(section) || !PIP_SETTINGS.includes(name)) continue;
		current = pipVariable(name);
		settings[current] = value.trim();
	}
	return settings;
}

/** apt's own settings on this machine for proxies, retries and checks, as lines of an apt configuration file. */
export async function aptAcquireSettings(signal: AbortSignal): Promise<string> {
	const lines: string[] = [];
	try {
		await run(["apt-config", "dump", "--no-empty", "Acquire"], { signal, onLine: (line) => lines.push(line) });
	} catch (error) {
		// A machine without apt has no settings to honour; the build itself says what is missing.
		if (!(error instanceof CommandError)) throw error;
	}
	const own = ["Acquire::IndexTargets", "Acquire::Languages", "Acquire::Changelogs", "Acquire::cdrom", "Acquire::Retries"];
	return lines.filter((line) => line.startsWith("Acquire::") && !own.some((prefix) => line.startsWith(prefix))).join("\n");
}

function pipVariable(name: string): string {
	return `PIP_${name.replaceAll("-", "_").toUpperCase()}`;
}

function pick(env: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
	return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
