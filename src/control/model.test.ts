/**
 * Random operations of several clients at once, with steps of the node failing and the server dying in between, against
 * a model that knows only what clients were told. A failing seed can be run again: OFFSHOOT_TEST_SEED=<n>.
 */
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { OffshootError } from "../protocol/index.ts";
import { LIFECYCLE, type OperationName } from "./table.ts";
import { eventually, World } from "./testing/world.ts";

const SEEDS = process.env.OFFSHOOT_TEST_SEED ? [Number(process.env.OFFSHOOT_TEST_SEED)] : [1, 2, 3, 4];
const STEPS = 50;
/** Shares of the steps in which the server dies, and, up to the second figure, in which the node fails now and then. */
const DEATH = 0.15;
const FAILURES = 0.4;
/** A write of the database that has happened is not reported as failed; and the list is asked for at a start only. */
const NEVER_FAIL = new Set(["transaction:done", "compareAndSet:done", "setEnd:done", "end:done", "discard:done", "list"]);
const LIFETIME_S = 86_400;
const signal = new AbortController().signal;

class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed * 7919 + 1;
	}

	/** Uniform in [0, 1): a linear congruential generator is random enough to mix operations. */
	next(): number {
		this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
		return this.#state / 2 ** 32;
	}

	below(limit: number): number {
		return Math.floor(this.next() * limit);
	}

	pick<T>(items: readonly T[]): T | undefined {
		return items[this.below(items.length)];
	}
}

interface Call {
	readonly name: OperationName | "create" | "write" | "delete";
	readonly target: string | undefined;
	run(): Promise<void>;
}

type Outcome = "done" | "died" | OffshootError;

/** What clients have been told. */
class Model {
	/** Living sandboxes with what their guests have acknowledged. */
	readonly alive = new Map<string, string[]>();
	readonly killed = new Set<string>();
	readonly snapshots = new Set<string>();
	/** Sandboxes that a call of this step may have cost their memory. */
	readonly mayForget = new Set<string>();
	writes = 0;
}

class Run {
	readonly #world: World;
	readonly #random: Random;
	readonly #model = new Model();

	constructor(world: World, seed: number) {
		this.#world = world;
		this.#random = new Random(seed);
	}

	async step(): Promise<void> {
		const random = this.#random;
		const calls = Array.from({ length: 1 + random.below(4) }, () => this.#randomCall());
		const mode = random.next();
		const only = calls.length === 1 && mode >= FAILURES ? calls[0] : undefined;
		const expected = only && (await this.#expected(only));
		const death = this.#disturb(mode);
		const outcomes = await Promise.all(calls.map((call) => this.#perform(call, death)));
		// Death may also have struck what goes on in the background of calls that were answered.
		if (mode < DEATH) await this.#world.crashAndStart();
		else this.#world.faults.reset();
		if (expected !== undefined) expect(codeOf(outcomes[0])).toBe(expected);
		await eventually(async () => {
			this.#world.clock.advance(1_000);
			await this.#world.checkInvariants();
		});
		await this.#compare(calls, outcomes);
	}

	/** In some steps the server dies, in some the node fails now and then; in all, every step takes its own time. */
	#disturb(mode: number): Promise<void> {
		const { faults } = this.#world;
		faults.reset();
		const random = this.#random;
		const death = mode < DEATH ? faults.dieAt(1 + random.below(12)) : new Promise<void>(() => {});
		const { hook } = faults;
		faults.hook = async (name, index) => {
			for (let turns = random.below(4); turns > 0; turns--) await setImmediate();
			const fails = mode >= DEATH && mode < FAILURES && random.next() < 0.2;
			if (fails && !NEVER_FAIL.has(name)) throw new OffshootError("busy", `${name} failed`);
			return hook(name, index);
		};
		return death;
	}

	#randomCall(): Call {
		const random = this.#random;
		const target = random.pick([...this.#model.alive.keys(), ...this.#model.killed]);
		if (target === undefined || random.next() < 0.15) return this.#create();
		const calls: readonly (() => Call)[] = [
			() => this.#plain("connect", target, () => this.#world.connect(target, LIFETIME_S)),
			() =>
				this.#plain("resume", target, () =>
					this.#world.control.resumeSandbox(this.#world.team, target, { timeout: LIFETIME_S, memory: true }, signal),
				),
			() => this.#plain("pause", target, () => this.#world.pause(target)),
			() => this.#forgetful("pause", target, () => this.#world.pause(target, { memory: false })),
			() => this.#forgetful("connectCold", target, () => this.#world.connect(target, LIFETIME_S, false)),
			() => this.#plain("setTimeout", target, () => this.#world.control.setTimeout(this.#world.team, target, LIFETIME_S)),
			() => this.#plain("refresh", target, () => this.#world.control.refreshSandbox(this.#world.team, target, 60)),
			() => this.#kill(target),
			() => this.#snapshot(target),
			() => this.#fork(target),
			() => this.#write(target),
			() => this.#write(target),
			() => this.#delete(),
		];
		return (random.pick(calls) ?? (() => this.#create()))();
	}

	#plain(name: OperationName, target: string, act: () => Promise<unknown>): Call {
		return { name, target, run: async () => void (await act()) };
	}

	#forgetful(name: OperationName, target: string, act: () => Promise<unknown>): Call {
		this.#model.mayForget.add(target);
		return this.#plain(name, target, act);
	}

	#create(): Call {
		const templateRef = this.#random.pick(["base", ...this.#model.snapshots]) ?? "base";
		const run = async () => this.#adopt(await this.#world.create({ templateRef, timeout: LIFETIME_S }));
		return { name: "create", target: undefined, run };
	}

	#kill(target: string): Call {
		const run = async () => {
			await this.#world.kill(target);
			this.#model.alive.delete(target);
			this.#model.killed.add(target);
		};
		return { name: "kill", target, run };
	}

	#snapshot(target: string): Call {
		const name = this.#random.pick([undefined, "one", "two:v2"]);
		const run = async () => {
			this.#model.snapshots.add((await this.#world.snapshot(target, name)).snapshotId);
		};
		return { name: "snapshot", target, run };
	}

	#fork(target: string): Call {
		const run = async () => {
			for (const result of await this.#world.fork(target, 2, LIFETIME_S)) {
				if ("sandbox" in result) await this.#adopt(result.sandbox);
			}
		};
		return { name: "fork", target, run };
	}

	#write(target: string): Call {
		const text = `w${this.#model.writes++}`;
		const run = async () => {
			const admission = await this.#world.admit(target);
			if (admission.kind !== "proxy") return;
			const guest = this.#world.host.container({ sandboxId: target, incarnation: admission.incarnation });
			if (!guest || guest.frozen) return;
			guest.memory.push(text);
			this.#model.alive.get(target)?.push(text);
		};
		return { name: "write", target, run };
	}

	#delete(): Call {
		const ref = this.#random.pick([...this.#model.snapshots]) ?? "nosuch";
		const run = async () => {
			await this.#world.control.deleteTemplate(this.#world.team, ref, signal);
			for (const id of this.#model.snapshots) {
				if (id.split(":")[0] === ref.split(":")[0]) this.#model.snapshots.delete(id);
			}
		};
		return { name: "delete", target: undefined, run };
	}

	/** What the lifecycle table says about a call that is alone. */
	async #expected(call: Call): Promise<string | undefined> {
		if (call.target === undefined || call.name === "write" || call.name === "create" || call.name === "delete") return undefined;
		if (this.#model.killed.has(call.target)) return "not_found";
		const { state } = await this.#world.get(call.target);
		const verdict = LIFECYCLE[call.name][state];
		return verdict.do === "refuse" ? verdict.error(call.target).code : "done";
	}

	async #perform(call: Call, death: Promise<void>): Promise<Outcome> {
		const outcome = call.run().then(
			() => "done" as const,
			(error: unknown) => {
				if (error instanceof OffshootError) return error;
				throw error;
			},
		);
		return Promise.race([outcome, death.then(() => "died" as const)]);
	}

	async #adopt({ sandboxId }: { readonly sandboxId: string }): Promise<void> {
		if (this.#model.alive.has(sandboxId) || this.#model.killed.has(sandboxId)) return;
		this.#model.alive.set(sandboxId, [...(await this.#world.memory(sandboxId))]);
	}

	/** What clients were told must hold; only calls that the server's death cut off may have gone either way. */
	async #compare(calls: readonly Call[], outcomes: readonly Outcome[]): Promise<void> {
		const unknown = calls.filter((_call, index) => outcomes[index] === "died");
		const unknownNames = new Set(unknown.map((call) => call.name));
		const rows = new Set((await this.#world.fleet.sandboxes.living()).map((row) => row.id));
		for (const id of [...this.#model.alive.keys()]) {
			if (rows.has(id)) await this.#compareMemory(id);
			else {
				expect(unknown.some((call) => call.name === "kill" && call.target === id)).toBe(true);
				this.#model.alive.delete(id);
				this.#model.killed.add(id);
			}
		}
		for (const id of rows) {
			expect(this.#model.killed.has(id)).toBe(false);
			if (this.#model.alive.has(id)) continue;
			expect(unknownNames.has("create") || unknownNames.has("fork")).toBe(true);
			await this.#adopt({ sandboxId: id });
		}
		this.#model.mayForget.clear();
		const listed = new Set(await this.#world.snapshots());
		if (!unknownNames.has("delete")) expect([...this.#model.snapshots].filter((id) => !listed.has(id))).toEqual([]);
		if (!unknownNames.has("snapshot")) expect([...listed].filter((id) => !this.#model.snapshots.has(id))).toEqual([]);
		this.#model.snapshots.clear();
		for (const id of listed) this.#model.snapshots.add(id);
	}

	/** A cold start in this step may have cost what was acknowledged before it, never what came after. */
	async #compareMemory(id: string): Promise<void> {
		const acknowledged = this.#model.alive.get(id) ?? [];
		const memory = await this.#world.memory(id);
		if (!this.#model.mayForget.has(id)) return expect(memory).toEqual(acknowledged);
		const kept = acknowledged.slice(acknowledged.length - memory.length);
		expect(memory).toEqual(kept);
		this.#model.alive.set(id, kept);
	}
}

function codeOf(outcome: Outcome | undefined): string | undefined {
	return outcome instanceof OffshootError ? outcome.code : outcome;
}

describe.concurrent("random operations of several clients", () => {
	it.each(SEEDS)("leave what clients were told, seed %i", { timeout: 120_000 }, async (seed) => {
		await using world = await World.open({ maxTimeoutSeconds: 10 * LIFETIME_S });
		const run = new Run(world, seed);
		for (let step = 0; step < STEPS; step++) await run.step();
	});
});
