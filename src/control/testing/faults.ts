/** Where a test interferes: every call of the node and every write of the fleet passes these points. */
import type { Fleet, Repositories } from "../../fleet/index.ts";

export class Faults {
	/** Points passed since the last `reset`. */
	passed: string[] = [];
	/** Called at every point; may throw, wait, or never resolve. */
	hook: (name: string, index: number) => Promise<void> | void = () => {};

	async point(name: string): Promise<void> {
		this.passed.push(name);
		await this.hook(name, this.passed.length);
	}

	reset(): void {
		this.passed = [];
		this.hook = () => {};
	}

	/**
	 * The process dies at the given point: that call and all later ones never come back.
	 * @returns resolves at the moment of death
	 */
	dieAt(index: number): Promise<void> {
		const dead = Promise.withResolvers<void>();
		this.hook = (_name, at) => {
			if (at < index) return;
			dead.resolve();
			return new Promise(() => {});
		};
		return dead.promise;
	}

	/** The named point fails the next `times` times. */
	failAt(name: string, error: Error, times = 1): void {
		let left = times;
		this.hook = (at) => {
			if (at === name && left-- > 0) throw error;
		};
	}

	/** The named point waits until `release` is called. @returns `reached` resolves when something waits there */
	holdAt(name: string): { readonly reached: Promise<void>; readonly release: () => void } {
		const reached = Promise.withResolvers<void>();
		const released = Promise.withResolvers<void>();
		this.hook = (at) => {
			if (at !== name) return;
			reached.resolve();
			return released.promise;
		};
		return { reached: reached.promise, release: released.resolve };
	}
}

const SANDBOX_WRITES = ["compareAndSet", "setEnd", "end", "discard"] as const;

/** The fleet with a point before and after each write. A transaction is one write: it happens whole or not at all. */
export function faultyFleet(fleet: Fleet, faults: Faults): Fleet {
	const around = async <T>(name: string, write: () => Promise<T>): Promise<T> => {
		await faults.point(name);
		const result = await write();
		await faults.point(`${name}:done`);
		return result;
	};
	const sandboxes = new Proxy(fleet.sandboxes, {
		get: (target, property) => {
			const member: unknown = Reflect.get(target, property, target);
			if (typeof member !== "function") return member;
			const call = (...given: unknown[]) => Reflect.apply(member, target, given);
			const writes = SANDBOX_WRITES.some((name) => name === property);
			return writes ? (...given: unknown[]) => around(String(property), () => call(...given)) : call;
		},
	});
	return {
		...fleet,
		sandboxes,
		transaction: <T>(run: (repositories: Repositories) => Promise<T>) => around("transaction", () => fleet.transaction(run)),
	};
}
