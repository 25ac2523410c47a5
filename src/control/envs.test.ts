import { describe, expect, it } from "vitest";
import { assertEnvs } from "./envs.ts";
import { World } from "./testing/world.ts";

const KB = 1024;

describe("variables of a new sandbox", () => {
	it.each([
		[{ "": "v" }, /needs a name/],
		[{ "A=B": "v" }, /envVars\.A=B: .*neither '=' nor NUL/],
		[{ "A\0B": "v" }, /envVars\.A\\0B: .*neither '=' nor NUL/],
		[{ OK: "v", BAD: "a\0b" }, /envVars\.BAD: .*no NUL/],
		[{ LONG: "x".repeat(128 * KB - 5) }, /envVars\.LONG: .*131070 bytes/],
		[{ WIDE: "é".repeat(70 * KB) }, /envVars\.WIDE/],
		[
			Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`V${n}`, "x".repeat(100 * KB)])),
			/envVars have \d+ bytes, of 1048576/,
		],
	])("are refused by name where Linux could start no program with them: %#", (envs, message) => {
		expect(() => assertEnvs(envs)).toThrow(message);
	});

	it("may be as long as Linux takes them, under any other name", () => {
		assertEnvs({ LONG: "x".repeat(128 * KB - 6), "1 odd-näme": "", EMPTY: "" });
	});

	it("are refused before anything was begun, and counted with those of the template", async () => {
		await using world = await World.open();
		const bad = { code: "invalid_request", message: expect.stringContaining("envVars.A") };
		await expect(world.create({ envs: { A: "\0" }, templateRef: "no-such" })).rejects.toMatchObject(bad);
		const envs = (letter: string) => Object.fromEntries(Array.from({ length: 6 }, (_, n) => [letter + n, "x".repeat(100 * KB)]));
		const source = await world.create({ envs: envs("A") });
		const snapshot = await world.snapshot(source.sandboxId);
		const again = { templateRef: snapshot.snapshotId, envs: envs("B") };
		const tooMany = { code: "invalid_request", message: expect.stringContaining("with those of the template") };
		await expect(world.create(again)).rejects.toMatchObject(tooMany);
		await world.create({ ...again, envs: envs("A") });
		expect(await world.fork(source.sandboxId, 1)).toMatchObject([{ sandbox: {} }]);
		await world.checkInvariants();
	});
});
