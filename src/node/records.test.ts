import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { RECORD } from "./limits/testing/fake-guest.ts";
import { openRecords } from "./records.ts";

async function newDir(): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "records-"));
	onTestFinished(() => rm(dir, { recursive: true }));
	return dir;
}

test("a record, and what was learned of its container later, is there after a restart", async () => {
	const dir = await newDir();
	const records = await openRecords(dir);
	await records.put(RECORD);
	expect((await openRecords(dir)).all()).toEqual([RECORD]);
	records.amend(RECORD.containerId, { imageEngineBytes: 7 });
	const amended = { ...RECORD, imageEngineBytes: 7 };
	expect(records.all()).toEqual([amended]);
	expect((await openRecords(dir)).all()).toEqual([amended]);
});

test("what is learned of a container that is gone makes no record", async () => {
	const dir = await newDir();
	const records = await openRecords(dir);
	await records.put(RECORD);
	await records.delete(RECORD.containerId);
	records.amend(RECORD.containerId, { imageEngineBytes: 7 });
	expect(records.all()).toEqual([]);
	expect(await readdir(dir)).toEqual([]);
});
