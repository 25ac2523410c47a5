import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { initFor } from "../testing/agent.ts";
import { Session } from "./session.ts";

class Memory {
	data = "";
	async keep(data: string): Promise<void> {
		this.data = data;
	}
}

async function opened(incarnation = 1): Promise<{ session: Session; memory: Memory }> {
	const memory = new Memory();
	const session = new Session(memory, "first");
	session.expectNotices();
	const init = { ...initFor("second"), incarnation };
	await session.open(init, await session.begin(init));
	return { session, memory };
}

test("is locked at first, and by every restore", async () => {
	expect(new Session(new Memory(), "key").identity).toBeUndefined();
	const { session } = await opened();
	expect(session.identity?.incarnation).toBe(1);
	await session.restored();
	expect(session.identity).toBeUndefined();
});

test("an initialisation spends its key at once", async () => {
	const session = new Session(new Memory(), "first");
	await session.begin(initFor("second"));
	expect(session.controlKey).toBe("second");
	expect(session.identity).toBeUndefined();
});

test("a word of the restore that comes after the initialisation has begun does not lock what that opens", async () => {
	const { session } = await opened();
	const init = { ...initFor("third"), incarnation: 2 };
	const begun = session.begin(init);
	await sleep(20);
	expect(session.identity).toBeUndefined();
	await session.restored();
	await session.open(init, await begun);
	expect(session.identity?.incarnation).toBe(2);
});

test("without a word of a restore it goes on after a while", async () => {
	const { session } = await opened();
	const init = { ...initFor("third"), incarnation: 2 };
	await session.open(init, await session.begin(init));
	expect(session.identity?.incarnation).toBe(2);
});

test("an initialisation that was under way when the image was taken opens nothing in the clone", async () => {
	const { session } = await opened();
	const init = initFor("third");
	const life = await session.begin(init);
	await session.restored();
	await expect(session.open(init, life)).rejects.toThrow("restored");
	expect(session.identity).toBeUndefined();
});

test("a new daemon goes on where the one before was, locked or open", async () => {
	const { session, memory } = await opened();
	const next = new Session(memory, "first");
	next.recover(memory.data);
	expect(next.identity).toEqual(session.identity);
	expect(next.controlKey).toBe("second");
	await session.restored();
	const locked = new Session(memory, "first");
	locked.recover(memory.data);
	expect(locked.identity).toBeUndefined();
	expect(locked.controlKey).toBe("second");
});
