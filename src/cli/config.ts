/** The one place that reads settings: environment variables, parsed once, every mistake named at once. */

import { isIP } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { OffshootError } from "../protocol/index.ts";
import { findMistyped, type Mistyped } from "./mistyped.ts";

export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
	/** Everything that must outlive a restart. One server per data directory. */
	readonly dataDir: string;
	/** What can be obtained again: Node, runsc, downloads. May be shared by several instances. */
	readonly cacheDir: string;
	/** IP address the server listens on. */
	readonly bind: string;
	/** API and sandbox traffic share it. */
	readonly port: number;
	/** Base of the host names that clients build for sandboxes; the server's own address when undefined. */
	readonly domain: string | undefined;
	/** Closed ranges that sandboxes may reach all the same. A tenant's request opens none of them. */
	readonly allowCidrs: readonly string[];
	/** An encrypted listener beside the plain one. */
	readonly tls: TlsSettings | undefined;
	readonly logLevel: LogLevel;
	/** The operator's own runsc. */
	readonly runscPath: string | undefined;
	/** Directory to download a gVisor release from; gVisor's own when undefined. */
	readonly runscUrl: string | undefined;
}

export interface TlsSettings {
	readonly port: number;
	/** PEM files of the operator; those that `offshoot cert` made when undefined. */
	readonly files: { readonly cert: string; readonly key: string } | undefined;
}

export interface Setting {
	readonly name: string;
	readonly fallback: string;
	readonly meaning: string;
}

/** For `--help` and the docs. */
export const SETTINGS: readonly Setting[] = [
	{ name: "OFFSHOOT_DATA_DIR", fallback: "/var/lib/offshoot", meaning: "sandboxes, snapshots, keys; one server each" },
	{ name: "OFFSHOOT_PORT", fallback: "4983", meaning: "port of the API and of sandbox traffic" },
	{ name: "OFFSHOOT_BIND", fallback: "127.0.0.1", meaning: "IP address to listen on" },
	{ name: "OFFSHOOT_DOMAIN", fallback: "localhost:<port>", meaning: "host[:port] under which clients reach sandboxes" },
	{ name: "OFFSHOOT_ALLOW_CIDRS", fallback: "none", meaning: "private ranges that sandboxes may reach, comma-separated" },
	{ name: "OFFSHOOT_TLS_PORT", fallback: "no TLS", meaning: "port of the same with TLS" },
	{ name: "OFFSHOOT_TLS_CERT", fallback: "offshoot cert's", meaning: "PEM file, for *.<domain>" },
	{ name: "OFFSHOOT_TLS_KEY", fallback: "offshoot cert's", meaning: "PEM file" },
	{ name: "OFFSHOOT_CACHE_DIR", fallback: "/var/cache/offshoot", meaning: "Node, runsc and other things to obtain" },
	{ name: "OFFSHOOT_RUNSC", fallback: "found or obtained", meaning: "the runsc binary to use" },
	{ name: "OFFSHOOT_RUNSC_URL", fallback: "gVisor's bucket", meaning: "where to download a gVisor release" },
	{ name: "OFFSHOOT_LOG_LEVEL", fallback: "info", meaning: LOG_LEVELS.join(", ") },
];

/** What tests and benchmarks read, and what lies in the environment of a sandbox's programs. */
const READ_ELSEWHERE = /^OFFSHOOT_(TEST_|BENCH_|SANDBOX_ID$|INTERPRETER|CONTROL_|AGENT_)/;

/** Settings that have no effect because there is none of that name. */
export function mistypedSettings(env: NodeJS.ProcessEnv): readonly Mistyped[] {
	return findMistyped(env, { prefix: "OFFSHOOT_", known: SETTINGS.map(({ name }) => name), foreign: READ_ELSEWHERE });
}

const HOST_AND_PORT = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/;

export interface User {
	readonly uid: number;
	readonly home: string;
}

/** @throws OffshootError invalid_request naming every variable that is wrong */
export function readConfig(env: NodeJS.ProcessEnv = process.env, user: User = currentUser()): Config {
	const problems: string[] = [];
	const read = <T>(name: string, fallback: T, parse: (text: string) => T | undefined, expected: string): T => {
		const text = env[name];
		// An empty variable means "not set": that is how a wrapper script clears one.
		if (text === undefined || text === "") return fallback;
		const value = parse(text);
		if (value !== undefined) return value;
		problems.push(`${name}=${text} is not ${expected}`);
		return fallback;
	};
	const tlsPort = read<number | undefined>("OFFSHOOT_TLS_PORT", undefined, parsePort, "a port from 1 to 65535");
	const tlsCert = read<string | undefined>("OFFSHOOT_TLS_CERT", undefined, resolve, "a path");
	const tlsKey = read<string | undefined>("OFFSHOOT_TLS_KEY", undefined, resolve, "a path");
	const config: Config = {
		dataDir: read("OFFSHOOT_DATA_DIR", "/var/lib/offshoot", resolve, "a path"),
		cacheDir: read("OFFSHOOT_CACHE_DIR", defaultCacheDir(env, user), resolve, "a path"),
		bind: read("OFFSHOOT_BIND", "127.0.0.1", parseAddress, "an IP address (0.0.0.0 listens on all)"),
		port: read("OFFSHOOT_PORT", 4983, parsePort, "a port from 1 to 65535"),
		domain: read<string | undefined>("OFFSHOOT_DOMAIN", undefined, parseDomain, "host or host:port in lower case"),
		allowCidrs: read<readonly string[]>(
			"OFFSHOOT_ALLOW_CIDRS",
			[],
			parseCidrs,
			"a comma-separated list such as 10.1.0.0/16,192.168.7.9/32",
		),
		tls: tlsSettings(tlsPort, tlsCert, tlsKey),
		logLevel: read<LogLevel>("OFFSHOOT_LOG_LEVEL", "info", parseLogLevel, `one of ${LOG_LEVELS.join(", ")}`),
		runscPath: read<string | undefined>("OFFSHOOT_RUNSC", undefined, resolve, "a path"),
		runscUrl: read<string | undefined>("OFFSHOOT_RUNSC_URL", undefined, parseUrl, "an http or https URL"),
	};
	if ((tlsCert === undefined) !== (tlsKey === undefined)) problems.push("OFFSHOOT_TLS_CERT and OFFSHOOT_TLS_KEY need each other");
	if (tlsCert !== undefined && tlsPort === undefined) problems.push("OFFSHOOT_TLS_CERT has no effect without OFFSHOOT_TLS_PORT");
	if (tlsPort === config.port) problems.push(`OFFSHOOT_TLS_PORT=${tlsPort} is taken by the plain listener (OFFSHOOT_PORT)`);
	if (problems.length > 0) throw new OffshootError("invalid_request", problems.join("\n"));
	return config;
}

function tlsSettings(port: number | undefined, cert: string | undefined, key: string | undefined): TlsSettings | undefined {
	if (port === undefined) return undefined;
	return { port, files: cert === undefined || key === undefined ? undefined : { cert, key } };
}

function currentUser(): User {
	return { uid: process.getuid?.() ?? -1, home: homedir() };
}

/** The shell entry keeps Node in the same directory: the two rules must stay equal. */
function defaultCacheDir(env: NodeJS.ProcessEnv, user: User): string {
	if (user.uid === 0) return "/var/cache/offshoot";
	return join(env.XDG_CACHE_HOME || join(user.home, ".cache"), "offshoot");
}

function parseAddress(text: string): string | undefined {
	return isIP(text) === 0 ? undefined : text;
}

function parsePort(text: string): number | undefined {
	const port = Number(text);
	return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

function parseDomain(text: string): string | undefined {
	return HOST_AND_PORT.test(text) ? text : undefined;
}

function parseCidrs(text: string): readonly string[] | undefined {
	const cidrs = text.split(",").map((part) => part.trim());
	return cidrs.every(isCidr) ? cidrs : undefined;
}

function isCidr(text: string): boolean {
	const [address = "", bits = "", ...rest] = text.split("/");
	return rest.length === 0 && isIP(address) === 4 && /^\d{1,2}$/.test(bits) && Number(bits) <= 32;
}

function parseLogLevel(text: string): LogLevel | undefined {
	return LOG_LEVELS.find((level) => level === text);
}

function parseUrl(text: string): string | undefined {
	return URL.canParse(text) && /^https?:/.test(text) ? text : undefined;
}
