/**
 * Teams and keys, straight in the database of the data directory: it works with and without a running server, which
 * asks the database about every key and so knows of each change at once.
 */
import { join } from "node:path";
import {
	type ApiKeyRecord,
	createKey,
	createTeam,
	type Fleet,
	maskedKey,
	openFleet,
	renameKey,
	revokeKey,
	setTeamLimits,
	type TeamRecord,
} from "../../fleet/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { readInstanceId } from "../instance/secrets.ts";
import { requireRoot } from "../prepare/index.ts";
import { formatTable } from "../terminal/table.ts";

const SECONDS_PER_HOUR = 3600;
/** Stands for the server's own limit. */
const DEFAULT = "default";

export interface TeamChoice {
	/** Slug; the first team when undefined. */
	readonly team: string | undefined;
}

export async function keyCreate(config: Config, name: string, choice: TeamChoice, signal: AbortSignal): Promise<void> {
	await withTeam("key create", config, choice, signal, async (fleet, team) => {
		const { key, id } = await createKey(fleet, team.id, name);
		process.stdout.write(`${key}\n`);
		process.stderr.write(`Key '${name}' (${id}) of team ${team.slug}; it is shown this once.\n`);
	});
}

export async function keyList(config: Config, choice: TeamChoice, signal: AbortSignal): Promise<void> {
	await withTeam("key list", config, choice, signal, async (fleet, team) => {
		const rows = (await fleet.keys.list(team.id)).map(keyRow);
		process.stdout.write(formatTable(process.stdout, ["ID", "NAME", "KEY", "CREATED", "FIRST USED", "LAST USED"], rows));
	});
}

export async function keyRename(
	config: Config,
	id: string,
	name: string,
	choice: TeamChoice,
	signal: AbortSignal,
): Promise<void> {
	await withTeam("key rename", config, choice, signal, async (fleet, team) => {
		await renameKey(fleet, team.id, id, name);
	});
}

export async function keyRevoke(config: Config, id: string, choice: TeamChoice, signal: AbortSignal): Promise<void> {
	await withTeam("key revoke", config, choice, signal, (fleet, team) => revokeKey(fleet, team.id, id));
}

export async function teamCreate(config: Config, slug: string, name: string | undefined, signal: AbortSignal): Promise<void> {
	await withFleet("team create", config, signal, async (fleet) => {
		const team = await createTeam(fleet, slug, name);
		const { key } = await createKey(fleet, team.id, "first");
		process.stdout.write(`${key}\n`);
		process.stderr.write(`Team ${team.slug} (${team.id}) with its first key, which is shown this once.\n`);
	});
}

/** Each as typed: a number, or "default" for the server's own limit. */
export interface WantedLimits {
	readonly sandboxes?: string | undefined;
	readonly hours?: string | undefined;
}

export async function teamLimits(config: Config, slug: string, wanted: WantedLimits, signal: AbortSignal): Promise<void> {
	const sandboxes = limitOf("--sandboxes", wanted.sandboxes);
	const hours = limitOf("--hours", wanted.hours);
	const change = { maxSandboxes: sandboxes, maxTimeoutSeconds: hours && Math.round(hours * SECONDS_PER_HOUR) };
	await withTeam("team limits", config, { team: slug }, signal, async (fleet, { id }) => {
		const [running, lifetime] = limitColumns(await setTeamLimits(fleet, id, change));
		process.stdout.write(`sandboxes: ${running}\nhours: ${lifetime}\n`);
	});
}

function limitOf(option: string, text: string | undefined): number | null | undefined {
	if (text === undefined) return undefined;
	if (text === DEFAULT) return null;
	const limit = Number(text);
	if (limit > 0) return limit;
	throw new OffshootError("invalid_request", `${option} '${text}': expected a number above 0, or '${DEFAULT}'`);
}

function limitColumns({ limits }: TeamRecord): readonly string[] {
	const hours = limits.maxTimeoutSeconds && Number((limits.maxTimeoutSeconds / SECONDS_PER_HOUR).toFixed(2));
	return [limits.maxSandboxes, hours].map((limit) => String(limit ?? DEFAULT));
}

export async function teamList(config: Config, signal: AbortSignal): Promise<void> {
	await withFleet("team list", config, signal, async (fleet) => {
		const rows = (await fleet.teams.list()).map((team) => [
			team.id,
			team.slug,
			team.name,
			team.createdAt.toISOString(),
			...limitColumns(team),
		]);
		process.stdout.write(formatTable(process.stdout, ["ID", "SLUG", "NAME", "CREATED", "SANDBOXES", "HOURS"], rows));
	});
}

async function withFleet(
	command: string,
	config: Config,
	signal: AbortSignal,
	work: (fleet: Fleet) => Promise<void>,
): Promise<void> {
	requireRoot(command);
	if ((await readInstanceId(config.dataDir)) === undefined) {
		throw new OffshootError("not_found", `${config.dataDir} has never had a server. FIX: ./offshoot up --detach`);
	}
	const fleet = await openFleet({ path: join(config.dataDir, "offshoot.db") }, signal);
	try {
		await work(fleet);
	} finally {
		await fleet.close();
	}
}

function withTeam(
	command: string,
	config: Config,
	{ team }: TeamChoice,
	signal: AbortSignal,
	work: (fleet: Fleet, team: TeamRecord) => Promise<void>,
): Promise<void> {
	return withFleet(command, config, signal, async (fleet) => {
		const found = team === undefined ? fleet.defaultTeam : await fleet.teams.bySlug(team);
		if (!found) throw new OffshootError("not_found", `there is no team '${team}'. FIX: ./offshoot team list`);
		await work(fleet, found);
	});
}

function keyRow(key: ApiKeyRecord): readonly string[] {
	const time = (date: Date | undefined) => date?.toISOString() ?? "never";
	return [key.id, key.name, maskedKey(key), time(key.createdAt), time(key.firstUsedAt), time(key.lastUsedAt)];
}
