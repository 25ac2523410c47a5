/** One prerequisite of the host. A check reads the host through the probe it is given, and judges. */
export type Finding =
	| { readonly status: "ok"; readonly reason: string }
	| { readonly status: "warn" | "fail"; readonly reason: string; readonly fix: string };

export interface Check {
	readonly id: string;
	readonly title: string;
	look(signal: AbortSignal): Promise<Finding>;
}

export interface Result {
	readonly id: string;
	readonly title: string;
	readonly finding: Finding;
}

export function ok(reason: string): Finding {
	return { status: "ok", reason };
}

/** Offshoot works, with something missing. */
export function warn(reason: string, fix: string): Finding {
	return { status: "warn", reason, fix };
}

/** Offshoot does not work. */
export function fail(reason: string, fix: string): Finding {
	return { status: "fail", reason, fix };
}

/** Runs the checks in order. A probe that throws makes its check fail with the error's words. */
export async function examine(checks: readonly Check[], signal: AbortSignal): Promise<readonly Result[]> {
	const results: Result[] = [];
	for (const { id, title, look } of checks) {
		const finding = await look(signal).catch((error: unknown) => {
			signal.throwIfAborted();
			return failed(error);
		});
		results.push({ id, title, finding });
	}
	return results;
}

/** Errors for users carry their fix after the word FIX. */
function failed(error: unknown): Finding {
	const message = error instanceof Error ? error.message : String(error);
	const [reason = message, fix] = message.split(/\.?\s+FIX: /);
	return fail(reason, fix ?? "the check itself failed: see the reason, and report it if it looks like a defect");
}
