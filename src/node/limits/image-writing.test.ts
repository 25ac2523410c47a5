import { describe, expect, test } from "vitest";
import type { ContainerLimits, ContainerPressure } from "../../engine/index.ts";
import type { ContainerRecord } from "../records.ts";
import { ImageWriting } from "./image-writing.ts";

const MB = 1024 * 1024;

/** A container whose figures are what the test last said. */
function container(first: { readonly guestMB: number; readonly engineMB: number }) {
	let now = first;
	const pressure = (): ContainerPressure => ({
		guestBytes: now.guestMB * MB,
		engineBytes: now.engineMB * MB,
		oomKills: 0,
		tasksRefused: 0,
	});
	const writing = new ImageWriting();
	const record = { containerId: "c", resources: { cpuCount: 1, memoryMB: 1024, diskSizeMB: 1024 } } as ContainerRecord;
	/** @param after what it has when the image is written */
	const write = (after: typeof first) =>
		writing.during({ pressure } as unknown as ContainerLimits, record, async () => {
			now = after;
			return writing.has("c");
		});
	const grow = (later: typeof first) => {
		now = later;
	};
	return { write, writing, grow };
}

describe("writing an image", () => {
	test("is refused when the engine may need more than its host allows, before anything was begun", async () => {
		const { write, writing } = container({ guestMB: 1000, engineMB: 700 });
		await expect(write({ guestMB: 1000, engineMB: 2100 })).rejects.toMatchObject({
			code: "no_space",
			message: expect.stringContaining("Remove files"),
		});
		expect(writing.has("c")).toBe(false);
	});

	test("again asks for no more than it took the first time", async () => {
		const { write } = container({ guestMB: 20, engineMB: 430 });
		expect(await write({ guestMB: 20, engineMB: 1300 })).toBe(true);
		expect(await write({ guestMB: 20, engineMB: 1300 })).toBe(true);
	});

	test("again counts what the engine took since", async () => {
		const { write, grow } = container({ guestMB: 20, engineMB: 430 });
		await write({ guestMB: 20, engineMB: 1300 });
		grow({ guestMB: 20, engineMB: 1500 });
		await write({ guestMB: 20, engineMB: 1500 });
		grow({ guestMB: 20, engineMB: 1900 });
		await expect(write({ guestMB: 20, engineMB: 2300 })).rejects.toMatchObject({ code: "no_space" });
	});

	test("is over when it failed", async () => {
		const { writing, write } = container({ guestMB: 20, engineMB: 20 });
		const failing = writing.during(
			{ pressure: () => undefined } as unknown as ContainerLimits,
			{ containerId: "c" } as ContainerRecord,
			() => Promise.reject(new Error("no")),
		);
		await expect(failing).rejects.toThrow("no");
		expect(writing.has("c")).toBe(false);
		await write({ guestMB: 20, engineMB: 20 });
	});
});
