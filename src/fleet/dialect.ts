/**
 * Kysely on Node's built-in SQLite. Guarantees: a committed transaction survives a power cut (WAL, synchronous=FULL),
 * a transaction takes the write lock when it begins, so it never fails half-way because another process wrote.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import {
	CompiledQuery,
	type DatabaseConnection,
	type DialectAdapter,
	type Driver,
	SqliteAdapter,
	type SqliteDatabase,
	SqliteDialect,
	SqliteDriver,
	type SqliteStatement,
} from "kysely";
import { OffshootError } from "../protocol/index.ts";

/** Another process (the command line making a key) holds the lock for milliseconds; waiting longer means it is stuck. */
const BUSY_TIMEOUT_MS = 5_000;

export class NodeSqliteDialect extends SqliteDialect {
	readonly #database: OpenDatabase;

	/** Opens or creates the file; the connection is closed by `Kysely.destroy`. */
	constructor(path: string) {
		const database = openDatabase(path);
		super({ database });
		this.#database = database;
	}

	override createDriver(): Driver {
		return new ImmediateDriver(this.#database);
	}

	override createAdapter(): DialectAdapter {
		return new TransactionalAdapter();
	}
}

interface OpenDatabase extends SqliteDatabase {
	inTransaction(): boolean;
}

class ImmediateDriver extends SqliteDriver {
	readonly #database: OpenDatabase;

	constructor(database: OpenDatabase) {
		super({ database });
		this.#database = database;
	}

	override async beginTransaction(connection: DatabaseConnection): Promise<void> {
		await connection.executeQuery(CompiledQuery.raw("begin immediate"));
	}

	/** Some errors, such as a full disk, end a transaction by themselves; to end it again would hide what went wrong. */
	override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
		if (this.#database.inTransaction()) await super.rollbackTransaction(connection);
	}
}

class TransactionalAdapter extends SqliteAdapter {
	/** SQLite rolls schema changes back too: a crash in the middle of a migration leaves no half of it. */
	override get supportsTransactionalDdl(): boolean {
		return true;
	}
}

function openDatabase(path: string): OpenDatabase {
	const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
	database.exec("pragma journal_mode = wal; pragma synchronous = full;");
	return {
		close: () => database.close(),
		prepare: (sql) => prepare(database, sql),
		inTransaction: () => database.isTransaction,
	};
}

function prepare(database: DatabaseSync, sql: string): SqliteStatement {
	const statement = database.prepare(sql);
	return {
		reader: statement.columns().length > 0,
		all: (parameters) => unlessFull(() => statement.all(...parameters.map(toInput))),
		run: (parameters) => unlessFull(() => statement.run(...parameters.map(toInput))),
		iterate: (parameters) => statement.iterate(...parameters.map(toInput)),
	};
}

function toInput(value: unknown): SQLInputValue {
	if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "bigint") return value;
	throw new TypeError(`a ${typeof value} cannot be a parameter of a query`);
}

/** SQLITE_FULL. Source: https://sqlite.org/rescode.html#full */
const FULL = 13;

/** @throws OffshootError no_space where the disk is full: no defect, and whoever asked can do something about it */
function unlessFull<T>(run: () => T): T {
	try {
		return run();
	} catch (error) {
		if (!(error instanceof Error && "errcode" in error && error.errcode === FULL)) throw error;
		throw new OffshootError(
			"no_space",
			"The server's disk is full: it could not write down what was asked for. Free some space, for example by deleting snapshots, and try again",
			{ errorCode: "insufficient_disk_space", shouldRetry: false, cause: error },
		);
	}
}
