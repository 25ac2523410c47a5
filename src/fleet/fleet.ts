/**
 * Opens the durable truth. When a write's promise resolves it survives a crash of the process and of the machine; a
 * transaction happens as a whole or not at all.
 */
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { Kysely } from "kysely";
import { Migrator } from "kysely/migration";
import { BuildRepository } from "./builds.ts";
import { CatalogRepository } from "./catalog.ts";
import { NodeSqliteDialect } from "./dialect.ts";
import { KeyRepository } from "./keys.ts";
import { LogRepository } from "./logs.ts";
import { MeasureRepository } from "./measures.ts";
import { migrations } from "./migrations/index.ts";
import type { TeamRecord } from "./records.ts";
import { RequestRepository } from "./requests.ts";
import { SandboxRepository } from "./sandboxes.ts";
import type { Schema } from "./schema.ts";
import { TagHistoryRepository } from "./tag-history.ts";
import { TeamRepository } from "./teams.ts";
import { TemplateRepository } from "./templates.ts";

export interface Repositories {
	readonly teams: TeamRepository;
	readonly keys: KeyRepository;
	readonly templates: TemplateRepository;
	readonly builds: BuildRepository;
	readonly catalog: CatalogRepository;
	readonly tagHistory: TagHistoryRepository;
	readonly sandboxes: SandboxRepository;
	readonly requests: RequestRepository;
	readonly logs: LogRepository;
	readonly measures: MeasureRepository;
}

export interface Fleet extends Repositories {
	/** The team that a fresh database was made with. */
	readonly defaultTeam: TeamRecord;
	/** Inside `run` use only the repositories given to it: the outer ones wait for the transaction to end. */
	transaction<T>(run: (repositories: Repositories) => Promise<T>): Promise<T>;
	close(): Promise<void>;
}

/** Slug of the team of a fresh database. */
const DEFAULT_TEAM = { slug: "local", name: "default" };

/**
 * Opens or creates the database and brings its schema up to date.
 * @param options.path file of the database; its directory is made if missing
 * @throws when the file was written by a newer version or is damaged
 */
export async function openFleet(options: { readonly path: string }, signal: AbortSignal): Promise<Fleet> {
	signal.throwIfAborted();
	await mkdir(dirname(options.path), { recursive: true, mode: 0o700 });
	await keepPrivate(options.path);
	const db = new Kysely<Schema>({ dialect: new NodeSqliteDialect(options.path) });
	try {
		await migrate(db);
		const repositories = repositoriesOf(db);
		const transaction = <T>(run: (repositories: Repositories) => Promise<T>): Promise<T> =>
			db
				.transaction()
				.setIsolationLevel("serializable")
				.execute((inner) => run(repositoriesOf(inner)));
		const defaultTeam = await transaction(async ({ teams }) => (await teams.first()) ?? teams.create(DEFAULT_TEAM));
		return { ...repositories, defaultTeam, transaction, close: () => db.destroy() };
	} catch (error) {
		await db.destroy();
		throw error;
	}
}

/** Rows hold access tokens and environments. SQLite gives its other files the mode of this one. */
async function keepPrivate(path: string): Promise<void> {
	const file = await open(path, "a", 0o600);
	await file.chmod(0o600);
	await file.close();
}

async function migrate(db: Kysely<Schema>): Promise<void> {
	const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest();
	if (error) throw new Error("the database can't be brought up to date; was it written by a newer version?", { cause: error });
}

function repositoriesOf(db: Kysely<Schema>): Repositories {
	return {
		teams: new TeamRepository(db),
		keys: new KeyRepository(db),
		templates: new TemplateRepository(db),
		builds: new BuildRepository(db),
		catalog: new CatalogRepository(db),
		tagHistory: new TagHistoryRepository(db),
		sandboxes: new SandboxRepository(db),
		requests: new RequestRepository(db),
		logs: new LogRepository(db),
		measures: new MeasureRepository(db),
	};
}
