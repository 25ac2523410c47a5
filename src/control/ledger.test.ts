import { expect, it } from "vitest";
import { Ledger } from "./ledger.ts";
import { World } from "./testing/world.ts";

it("takes over a row only if it is newer, and never one whose sandbox has ended", async () => {
	await using world = await World.open();
	const { sandboxId } = await world.create();
	const ledger = new Ledger(world.fleet, { changed: () => {}, ended: () => {}, discarded: () => {} });
	await ledger.load();
	const old = await world.row(sandboxId);
	const extended = await ledger.setEnd(old, new Date(old.endAt.getTime() + 1_000));
	ledger.accept(old);
	expect(ledger.get(sandboxId)).toEqual(extended);
	await ledger.end(sandboxId, { reason: "test", at: new Date() });
	ledger.accept({ ...extended, revision: extended.revision + 1 });
	expect(ledger.get(sandboxId)).toBeUndefined();
});
