/**
 * Takes a certificate that was renewed on disk into use while the server runs. What is in use stays until there is
 * something better: a certificate half written, expired or for another domain changes nothing.
 */
import type { Config } from "../config.ts";
import { type LoadedTls, loadTls } from "./load.ts";

export interface Renewal {
	readonly config: Config;
	/** What is in use already. */
	readonly current: LoadedTls;
	/** Takes another one into use. @throws what is wrong with it */
	use(renewed: LoadedTls): void;
	readonly log: { info(text: string): void; warn(fields: object, text: string): void };
	/** ms between two looks */
	readonly everyMs?: number;
}

const EVERY_MS = 5_000;

/** Looks at the files now and then: they may be links, or on a file system that tells of no change. */
export function followCertificate({ config, current, use, log, everyMs = EVERY_MS }: Renewal, signal: AbortSignal): void {
	let inUse = current;
	let refusal: { readonly reason: string; readonly told: boolean } | undefined;
	const look = async () => {
		try {
			const found = await loadTls(config, signal);
			if (found === undefined || (found.cert === inUse.cert && found.key === inUse.key)) {
				refusal = undefined;
				return;
			}
			if (found.domain !== inUse.domain) throw new Error(`it is for ${found.domain}, and this server is ${inUse.domain}`);
			use(found);
			inUse = found;
			refusal = undefined;
			log.info("the TLS certificate was renewed");
		} catch (error) {
			if (signal.aborted) return;
			// Once for each reason, and only when it lasts: who renews writes two files, one after the other.
			const lasts = refusal?.reason === String(error);
			if (lasts && refusal?.told === false) {
				log.warn({ err: error }, "the TLS certificate on disk cannot be used; the one before stays");
			}
			refusal = { reason: String(error), told: lasts };
		}
	};
	let looking = Promise.resolve();
	const timer = setInterval(() => {
		looking = looking.then(look);
	}, everyMs);
	timer.unref();
	signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
