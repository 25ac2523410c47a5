/**
 * Which block of addresses an instance uses. Claims are files named after blocks that hold an instance's id; they belong
 * to the instance, not to a process, so a restarted server gets its old block back. All changes happen under one lock.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Type } from "typebox";
import { Value } from "typebox/value";
import { OffshootError } from "../../protocol/index.ts";
import { run } from "../command.ts";
import { FileLock } from "../host/file-lock.ts";
import { type Cidr, formatCidr, overlaps, parseCidr } from "./cidr.ts";
import { namesOf } from "./names.ts";
import { hasTraces } from "./traces.ts";

export const RUN_DIRECTORY = "/run/offshoot";

/** Set apart for benchmarks between private devices, so neither the internet nor a sane LAN uses it. RFC 2544. */
const POOL = "198.18.0.0/15";
const BLOCK_PREFIX = 22;

interface Claim {
	readonly block: string;
	readonly instanceId: string;
}

/**
 * Claims a block that nobody else on this host uses or routes; the same one every time until it is released.
 * @throws OffshootError busy when every block is taken
 */
export async function claimAddressRange(instanceId: string, signal: AbortSignal): Promise<string> {
	namesOf(instanceId);
	using _lock = await lockRanges(signal);
	const claims = await readClaims();
	const own = claims.find((claim) => claim.instanceId === instanceId);
	if (own !== undefined) return own.block;

	const routed = await routedRanges(signal);
	const taken = claims.map(({ block }) => parseCidr(block));
	const free = chooseBlock([...taken, ...routed]) ?? (await reclaimStale(claims, routed, signal));
	if (free === undefined) {
		throw new OffshootError(
			"busy",
			`every address block of ${POOL} is in use; stop another instance, or remove its routes to this range`,
		);
	}
	await writeFile(claimPath(free), instanceId);
	return free;
}

/** Gives the instance's block back. No error when it has none. */
export async function releaseAddressRange(instanceId: string, signal: AbortSignal): Promise<void> {
	using _lock = await lockRanges(signal);
	for (const claim of await readClaims()) {
		if (claim.instanceId === instanceId) await rm(claimPath(claim.block), { force: true });
	}
}

/** Ids of the instances that hold a block. */
export async function claimants(): Promise<string[]> {
	return (await readClaims()).map(({ instanceId }) => instanceId);
}

/** First block of the pool that overlaps none of `taken`. */
export function chooseBlock(taken: readonly Cidr[]): string | undefined {
	const pool = parseCidr(POOL);
	const size = 2 ** (32 - BLOCK_PREFIX);
	for (let base = pool.base; base < pool.base + 2 ** (32 - pool.prefix); base += size) {
		const block = { base, prefix: BLOCK_PREFIX };
		if (!taken.some((range) => overlaps(range, block))) return formatCidr(block);
	}
	return undefined;
}

/** A claim whose owner has nothing on the host is left over: its server would have made its tables right after claiming. */
async function reclaimStale(claims: readonly Claim[], routed: readonly Cidr[], signal: AbortSignal): Promise<string | undefined> {
	for (const { block, instanceId } of claims) {
		if (await hasTraces(namesOf(instanceId), signal)) continue;
		if (!routed.some((range) => overlaps(range, parseCidr(block)))) return block;
	}
	return undefined;
}

function lockRanges(signal: AbortSignal): Promise<FileLock> {
	return FileLock.acquire(join(RUN_DIRECTORY, "ranges.lock"), () => {}, signal);
}

const RANGES_DIRECTORY = join(RUN_DIRECTORY, "ranges");

function claimPath(block: string): string {
	return join(RANGES_DIRECTORY, block.replace("/", "-"));
}

async function readClaims(): Promise<Claim[]> {
	await mkdir(RANGES_DIRECTORY, { recursive: true });
	const claims: Claim[] = [];
	for (const name of (await readdir(RANGES_DIRECTORY)).sort()) {
		claims.push({ block: name.replace("-", "/"), instanceId: await readFile(join(RANGES_DIRECTORY, name), "utf8") });
	}
	return claims;
}

const Routes = Type.Array(Type.Object({ dst: Type.String() }));

/** Destinations of the host's own routes, default routes left out. */
async function routedRanges(signal: AbortSignal): Promise<Cidr[]> {
	const { stdout } = await run("ip", ["-4", "-j", "route", "show", "table", "all"], { signal });
	return parseRoutes(stdout);
}

/** Destinations in `ip -j route`. */
export function parseRoutes(json: string): Cidr[] {
	return Value.Parse(Routes, JSON.parse(json.trim() === "" ? "[]" : json))
		.filter(({ dst }) => dst !== "default")
		.map(({ dst }) => parseCidr(dst));
}
