/** Gives back what the heap does not need, so that it is not in the next snapshot. No effect without `--expose-gc`. */
export function compactMemory(): void {
	globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
