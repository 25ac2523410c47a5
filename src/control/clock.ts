/** Time as control sees it, so that tests can turn it. */
export interface Clock {
	/** ms since the epoch */
	now(): number;
	/** Runs the callback once after `delayMs`. @returns cancels it */
	schedule(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = {
	now: () => Date.now(),
	schedule: (delayMs, run) => {
		const timer = setTimeout(run, delayMs);
		return () => clearTimeout(timer);
	},
};

/** Resolves after `delayMs`, rejects with the signal's reason when that aborts first. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal.aborted) return reject(signal.reason);
		const onAbort = () => {
			cancel();
			reject(signal.reason);
		};
		const cancel = clock.schedule(delayMs, () => {
			signal.removeEventListener("abort", onAbort);
			resolve();
		});
		signal.addEventListener("abort", onAbort, { once: true });
	});
}

/** Waits for `promise` as long as the signal is not aborted. The work behind the promise goes on. */
export function abandonable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		if (signal.aborted) return reject(signal.reason);
		const onAbort = () => reject(signal.reason);
		signal.addEventListener("abort", onAbort, { once: true });
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
	});
}
