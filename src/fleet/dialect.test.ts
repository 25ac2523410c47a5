import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kysely, sql } from "kysely";
import { expect, onTestFinished, test } from "vitest";
import { NodeSqliteDialect } from "./dialect.ts";

async function openDatabase(): Promise<Kysely<unknown>> {
	const directory = await mkdtemp(join(tmpdir(), "offshoot-dialect-"));
	const database = new Kysely<unknown>({ dialect: new NodeSqliteDialect(join(directory, "test.db")) });
	onTestFinished(async () => {
		await database.destroy();
		await rm(directory, { recursive: true });
	});
	return database;
}

test("a full disk is told as that, and what was there stays", async () => {
	const database = await openDatabase();
	await sql`create table notes (text text not null)`.execute(database);
	await sql`insert into notes values ('short')`.execute(database);
	await sql`pragma max_page_count = 3`.execute(database);
	const insertion = sql`insert into notes values (${"long".repeat(20_000)})`.execute(database);
	await expect(insertion).rejects.toMatchObject({ code: "no_space", message: expect.stringContaining("disk is full") });
	expect((await sql`select text from notes`.execute(database)).rows).toEqual([{ text: "short" }]);
});

test("a transaction that its error has ended already fails with that error, and leaves nothing", async () => {
	const database = await openDatabase();
	await sql`create table notes (text text not null)`.execute(database);
	const transaction = database.transaction().execute(async (within) => {
		await sql`insert into notes values ('lost')`.execute(within);
		await sql`rollback`.execute(within);
		throw new Error("the disk was full");
	});
	await expect(transaction).rejects.toThrow("the disk was full");
	await sql`pragma max_page_count = 2`.execute(database);
	const filling = database
		.transaction()
		.execute((within) => sql`insert into notes values (${"long".repeat(20_000)})`.execute(within));
	await expect(filling).rejects.toMatchObject({ code: "no_space" });
	expect((await sql`select text from notes`.execute(database)).rows).toEqual([]);
});
