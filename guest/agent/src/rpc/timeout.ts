/** How long a call may take: what its client says in `Connect-Timeout-Ms`. */
import type { IncomingHttpHeaders } from "node:http";
import type { Interceptor } from "@connectrpc/connect";
import { headerTimeout } from "@connectrpc/connect/protocol-connect";

export const TIMEOUT = headerTimeout.toLowerCase();

/** The longest that a timer can wait, ms: one of more ends at once. No sandbox lives that long. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Source: Connect protocol; a value of another form is refused. */
const FORM = /^\d{1,10}$/;

/** Takes the field out where it means no end: 0, which Connect would take for a time that is over, or for ever. */
export function dropEndless(headers: IncomingHttpHeaders): void {
	const given = String(headers[TIMEOUT] ?? "");
	if (!FORM.test(given)) return;
	const limit = Number(given);
	if (limit === 0 || limit > MAX_TIMER_MS) delete headers[TIMEOUT];
}

/** Ends a call when its time is over, whatever it waits for: input that its program does not take. */
export const keepTime: Interceptor = (next) => async (request) => {
	const { signal } = request;
	const over = Promise.withResolvers<never>();
	const stop = () => over.reject(signal.reason);
	signal.addEventListener("abort", stop);
	try {
		return await Promise.race([next(request), over.promise]);
	} finally {
		signal.removeEventListener("abort", stop);
	}
};
