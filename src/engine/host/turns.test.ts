import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

const forever = new AbortController().signal;

test("no owner does more at a time than allowed, in order, and owners do not wait for each other", async () => {
	const turns = new Turns(2);
	const running = new Map<string, number>();
	const most = new Map<string, number>();
	const begun: string[] = [];
	const work = (owner: string, n: number) =>
		turns.take(owner, forever, async () => {
			begun.push(`${owner}${n}`);
			const now = (running.get(owner) ?? 0) + 1;
			running.set(owner, now);
			most.set(owner, Math.max(most.get(owner) ?? 0, now));
			await new Promise((resolve) => setImmediate(resolve));
			running.set(owner, now - 1);
			if (n % 3 === 0) throw new Error("failed");
			return n;
		});
	const all = ["a", "b"].flatMap((owner) => Array.from({ length: 9 }, (_, n) => work(owner, n)));
	const results = await Promise.allSettled(all);
	expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(12);
	expect([...most]).toEqual([
		["a", 2],
		["b", 2],
	]);
	expect(begun.filter((name) => name.startsWith("a"))).toEqual(Array.from({ length: 9 }, (_, n) => `a${n}`));
	expect(begun.slice(0, 4).sort()).toEqual(["a0", "a1", "b0", "b1"]);
});

test("who leaves the queue is passed over, and the turns go on", async () => {
	const turns = new Turns(1);
	const held = Promise.withResolvers<void>();
	const first = turns.take("a", forever, () => held.promise);
	const leaving = new AbortController();
	let begun = false;
	const left = turns.take("a", leaving.signal, async () => {
		begun = true;
	});
	const last = turns.take("a", forever, async () => "last");
	leaving.abort(new Error("gone"));
	await expect(left).rejects.toThrow("gone");
	held.resolve();
	await first;
	expect(await last).toBe("last");
	expect(begun).toBe(false);
	expect(await turns.take("a", forever, async () => "again")).toBe("again");
});
