import { expect, test } from "vitest";
import { CommandError } from "../command.ts";
import { StuckError } from "../types.ts";
import { Standstill } from "./standstill.ts";

const forever = new AbortController().signal;
const done = { stdout: "", stderr: "" };

/** A container as runsc and its guest keep it: one writes down its state, the other counts its stops. */
class FakeContainer {
	state: "running" | "paused" = "running";
	stops = 0;
	/** Errors of the next calls to resume. */
	readonly failures: Error[] = [];
	/** What the next stop waits for, which goes on when runsc is killed. */
	stopping: Promise<void> = Promise.resolve();

	readonly standstill = new Standstill({
		runsc: { call: ([command], signal) => (command === "pause" ? this.#pause(signal) : this.#resume()) },
		endStop: async () => this.#endStop(),
		stopTimeoutMs: 50,
	});

	get runs(): boolean {
		return this.state === "running" && this.stops === 0;
	}

	async #pause(signal: AbortSignal) {
		if (this.state === "paused") throw refused("cannot pause container in state paused");
		this.stops++;
		const killed = new Promise<never>((_, reject) =>
			signal.addEventListener("abort", () => reject(new CommandError("runsc was killed", undefined, ""))),
		);
		await Promise.race([this.stopping, killed]);
		this.state = "paused";
		return done;
	}

	async #resume() {
		const failure = this.failures.shift();
		if (failure !== undefined) throw failure;
		if (this.state === "running") throw refused("cannot resume container in state running");
		this.#endStop();
		this.state = "running";
		return done;
	}

	#endStop(): void {
		if (--this.stops < 0) throw new Error("the guest was let run once too often: it ends");
	}
}

function refused(message: string): CommandError {
	return new CommandError(message, 128, message);
}

test("work is done while the container stands still, which runs afterwards, also when the work fails", async () => {
	const container = new FakeContainer();
	const work = async () => container.state;
	expect(await container.standstill.whileStill("c", work, forever)).toBe("paused");
	expect(container.runs).toBe(true);
	const fails = () => Promise.reject(new Error("no work"));
	await expect(container.standstill.whileStill("c", fails, forever)).rejects.toThrow("no work");
	expect(container.runs).toBe(true);
});

test("what somebody else has paused stays so", async () => {
	const container = new FakeContainer();
	await container.standstill.pause("c", forever);
	expect(await container.standstill.whileStill("c", async () => container.state, forever)).toBe("paused");
	expect(container.state).toBe("paused");
	await container.standstill.resume("c", forever);
	expect(container.runs).toBe(true);
});

test("one that could not be let run at once is let run later, and the work's own error is told", async () => {
	const container = new FakeContainer();
	container.failures.push(new Error("no memory for runsc"), new Error("no memory for runsc"));
	const fails = () => Promise.reject(new Error("no work"));
	await expect(container.standstill.whileStill("c", fails, forever)).rejects.toThrow("no work");
	expect(container.runs).toBe(true);
});

test("one that cannot be let run again is told as such, with the work's error", async () => {
	const container = new FakeContainer();
	container.failures.push(...[1, 2, 3].map((n) => new Error(`no resume ${n}`)));
	const fails = () => Promise.reject(new Error("no work"));
	const error = await container.standstill.whileStill("c", fails, forever).catch((error: unknown) => error);
	expect(error).toBeInstanceOf(StuckError);
	expect(error).toMatchObject({ errors: [new Error("no work"), new Error("no resume 3")] });
});

test("a stop that takes too long is undone in the guest, which runsc takes for running", async () => {
	const container = new FakeContainer();
	container.stopping = new Promise(() => {});
	const never = () => Promise.reject(new Error("it does not stand still"));
	await expect(container.standstill.whileStill("c", never, forever)).rejects.toThrow("runsc was killed");
	expect(container.runs).toBe(true);
});

test("a pause that nobody waits for any more is undone when it has taken effect", async () => {
	const container = new FakeContainer();
	const stopped = Promise.withResolvers<void>();
	container.stopping = stopped.promise;
	const caller = new AbortController();
	const pause = container.standstill.pause("c", caller.signal);
	caller.abort(new Error("the caller left"));
	stopped.resolve();
	await expect(pause).rejects.toThrow("the caller left");
	expect(container.runs).toBe(true);
});

test("a stop that runsc refuses is not undone: there was none", async () => {
	const container = new FakeContainer();
	await container.standstill.pause("c", forever);
	await expect(container.standstill.pause("c", forever)).rejects.toThrow("in state paused");
	expect([container.state, container.stops]).toEqual(["paused", 1]);
});
