import { expect, test } from "vitest";
import { StuckError } from "../engine/index.ts";
import { freeze } from "./capture.ts";
import { hostProcess } from "./host-process.ts";

const never = new AbortController().signal;
const gone = { pid: 0, startTicks: "" };

function freezing(error: Error, process = hostProcess(globalThis.process.pid)): Promise<unknown> {
	const record = { containerId: "isandbox-0", sandboxId: "isandbox", ...process };
	return freeze({ pause: () => Promise.reject(error) }, record, never).catch((error: unknown) => error);
}

test("a guest that did not stop goes on running, and its client is told so", async () => {
	const told = await freezing(new Error("runsc was killed"));
	expect(told).toMatchObject({ code: "timed_out", message: expect.stringContaining("It goes on running") });
});

test("one that may stand still for ever is not said to go on running", async () => {
	const stuck = new StuckError("isandbox-0", [new Error("no stop"), new Error("no resume")]);
	expect(await freezing(stuck)).toBe(stuck);
});

test("one that ended meanwhile is told as that", async () => {
	expect(await freezing(new Error("no such container"), gone)).toMatchObject({ code: "not_found" });
});
