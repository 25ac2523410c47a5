import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { ContainerPressure } from "../../engine/index.ts";
import { openRecords, type Records } from "../records.ts";
import { ImageWriting } from "./image-writing.ts";
import { FakeGuest, MB, RECORD } from "./testing/fake-guest.ts";

interface Figures {
	readonly guestMB: number;
	readonly engineMB: number;
}

let dir: string;
let records: Records;
let writing: ImageWriting;
let now: Figures | undefined;

beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "image-writing-"));
	onTestFinished(() => rm(dir, { recursive: true }));
	await startServer();
	await records.put(RECORD);
});

async function startServer(): Promise<void> {
	records = await openRecords(dir);
	const engines = { open: async () => ({ limits: { ...new FakeGuest().limits, pressure } }) };
	writing = new ImageWriting({ records, engines, log: pino({ level: "silent" }) });
}

function pressure(): ContainerPressure | undefined {
	return now && { guestBytes: now.guestMB * MB, engineBytes: now.engineMB * MB, oomKills: 0, tasksRefused: 0 };
}

/** Of the one container. */
function during<T>(work: () => Promise<T>, what: "memory" | "files" = "memory"): Promise<T> {
	const record = records.find(RECORD.sandboxId, RECORD.incarnation) ?? RECORD;
	return writing.during(record, what, work);
}

/** @param after what it has when the image is written */
function write(after: Figures): Promise<boolean> {
	return during(async () => {
		now = after;
		return writing.has(RECORD.containerId);
	});
}

describe("writing an image", () => {
	test("is refused when the engine may need more than its host allows, before anything was begun", async () => {
		now = { guestMB: 1000, engineMB: 700 };
		await expect(write({ guestMB: 1000, engineMB: 2100 })).rejects.toMatchObject({
			code: "no_space",
			message: expect.stringContaining("Remove files"),
		});
		expect(writing.has(RECORD.containerId)).toBe(false);
	});

	test("again asks for no more than it took the first time, also of a server that was started anew", async () => {
		now = { guestMB: 20, engineMB: 430 };
		expect(await write({ guestMB: 20, engineMB: 1300 })).toBe(true);
		expect(await write({ guestMB: 20, engineMB: 1300 })).toBe(true);
		await startServer();
		expect(await write({ guestMB: 20, engineMB: 1300 })).toBe(true);
	});

	test("again counts what the engine took since", async () => {
		now = { guestMB: 20, engineMB: 430 };
		await write({ guestMB: 20, engineMB: 1300 });
		now = { guestMB: 20, engineMB: 1500 };
		await write({ guestMB: 20, engineMB: 1500 });
		now = { guestMB: 20, engineMB: 1900 };
		await expect(write({ guestMB: 20, engineMB: 2300 })).rejects.toMatchObject({ code: "no_space" });
	});

	test("is over when it failed", async () => {
		now = { guestMB: 20, engineMB: 20 };
		await expect(during(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
		expect(writing.has(RECORD.containerId)).toBe(false);
		await write({ guestMB: 20, engineMB: 20 });
	});

	test("that failed says nothing about how much the next one takes", async () => {
		now = { guestMB: 20, engineMB: 700 };
		await expect(during(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
		now = { guestMB: 20, engineMB: 800 };
		await expect(write({ guestMB: 20, engineMB: 2400 })).rejects.toMatchObject({ code: "no_space" });
	});

	test("of the files alone says nothing about how much one of the memory takes", async () => {
		now = { guestMB: 20, engineMB: 700 };
		await during(async () => {}, "files");
		now = { guestMB: 20, engineMB: 800 };
		await expect(write({ guestMB: 20, engineMB: 2400 })).rejects.toMatchObject({ code: "no_space" });
	});

	test("of the files alone is let through where one of the memory is not, which says so", async () => {
		now = { guestMB: 20, engineMB: 1000 };
		await expect(write({ guestMB: 20, engineMB: 2900 })).rejects.toThrow(/memory: false/);
		await expect(during(async () => "written", "files")).resolves.toBe("written");
		now = { guestMB: 20, engineMB: 1600 };
		await expect(during(async () => "written", "files")).rejects.toMatchObject({ code: "no_space" });
	});

	test("of a sandbox that was removed meanwhile leaves no record of it", async () => {
		now = { guestMB: 20, engineMB: 20 };
		await during(() => records.delete(RECORD.containerId));
		await startServer();
		expect(records.all()).toEqual([]);
	});

	test("succeeds when what it took cannot be written down", async () => {
		now = { guestMB: 20, engineMB: 20 };
		expect(await during(() => rm(dir, { recursive: true }).then(() => "written"))).toBe("written");
		await startServer();
	});
});
