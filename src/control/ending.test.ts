import { describe, expect, it } from "vitest";
import { eventually, World } from "./testing/world.ts";

const notFound = { code: "not_found" };

describe.concurrent("kill", () => {
	it("is over for everyone when it returns, and the second one finds nothing", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.kill(sandboxId);
		await expect(world.kill(sandboxId)).rejects.toMatchObject({
			code: "not_found",
			message: `Sandbox "${sandboxId}" doesn't exist or you don't have access to it`,
		});
		await expect(world.get(sandboxId)).rejects.toMatchObject(notFound);
		expect(await world.admit(sandboxId)).toEqual({ kind: "not-found" });
		expect(world.gone).toEqual([{ sandboxId, incarnation: 1 }]);
		await world.checkInvariants();
	});

	it("succeeds although the node fails, and removes the container later", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		world.faults.failAt("remove", new Error("engine is busy"));
		await world.kill(sandboxId);
		expect(world.host.containers.size).toBe(1);
		await eventually(() => {
			world.clock.advance(1_000);
			expect(world.host.containers.size).toBe(0);
		});
	});

	it.each(["freeze:frozen", "freeze:published", "capture:published", "start:made", "transaction"])(
		"ends a sandbox whose operation is at %s, which then leaves nothing behind",
		async (point) => {
			await using world = await World.open();
			const { sandboxId } = await world.create();
			if (point === "start:made") await world.pause(sandboxId);
			world.faults.reset();
			const held = world.faults.holdAt(point);
			const operation = OPERATION_AT[point]?.(world, sandboxId) ?? Promise.reject(new Error("no such point"));
			const outcome = operation.then(
				() => "done",
				(error: unknown) => error,
			);
			await held.reached;
			world.faults.reset();
			const waiting = world.admit(sandboxId);
			const killed = world.kill(sandboxId);
			if (point !== "capture:published") expect(await waiting).toEqual({ kind: "not-found" });
			held.release();
			await killed;
			expect(await world.admit(sandboxId)).toEqual({ kind: "not-found" });
			expect(await outcome).toMatchObject(notFound);
			await world.checkInvariants();
			expect(await world.snapshots()).toEqual([]);
		},
	);
});

const OPERATION_AT: Readonly<Record<string, (world: World, id: string) => Promise<unknown>>> = {
	"freeze:frozen": (world, id) => world.pause(id),
	"freeze:published": (world, id) => world.pause(id),
	"capture:published": (world, id) => world.snapshot(id, "named"),
	"start:made": (world, id) => world.connect(id),
	transaction: (world, id) => world.pause(id),
};

describe.concurrent("exits", () => {
	it("ends a running sandbox with the node's reason, whatever incarnation an old report names", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.pause(sandboxId);
		await world.connect(sandboxId);
		world.node.crash({ sandboxId, incarnation: 1 }, "late report");
		world.node.crash({ sandboxId, incarnation: 2 }, "out of memory");
		await eventually(async () => expect((await world.row(sandboxId)).endReason).toBe("out of memory"));
		expect(world.gone.at(-1)).toEqual({ sandboxId, incarnation: 2 });
		await world.checkInvariants();
	});

	it("ends a sandbox that crashed between answering and being recorded", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.pause(sandboxId);
		const held = world.faults.holdAt("transaction");
		const connected = world.connect(sandboxId);
		await held.reached;
		world.node.crash({ sandboxId, incarnation: 2 }, "crashed");
		held.release();
		await connected;
		await eventually(async () => expect((await world.row(sandboxId)).state).toBe("ended"));
		await world.checkInvariants();
	});

	it("ends a sandbox that crashed while it was captured, and its snapshot fails", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const held = world.faults.holdAt("capture");
		const snapshot = world.snapshot(sandboxId).catch((error: unknown) => error);
		await held.reached;
		world.node.crash({ sandboxId, incarnation: 1 }, "crashed");
		held.release();
		expect(await snapshot).toBeInstanceOf(Error);
		await eventually(async () => expect((await world.row(sandboxId)).state).toBe("ended"));
		await world.checkInvariants();
	});
});
