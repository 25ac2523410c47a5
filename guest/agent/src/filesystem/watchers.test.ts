import { expect, test } from "vitest";
import { EventType } from "../../../../src/protocol/gen/filesystem_pb.js";
import { Watcher } from "./watchers.ts";

test("a watcher that nobody asks keeps its latest 65,536 events, each for one answer", async () => {
	const watcher = new Watcher();
	for (let index = 0; index < 65_540; index++) watcher.push(Promise.resolve({ name: String(index), type: EventType.CREATE }));
	const events = await watcher.drain();
	expect([events.length, events[0]?.name, events.at(-1)?.name]).toEqual([65_536, "4", "65539"]);
	expect(await watcher.drain()).toEqual([]);
});
