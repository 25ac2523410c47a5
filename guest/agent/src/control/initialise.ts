/** Makes this sandbox the one that the host says it is. Ends only when a request may be let in. */
import type { AgentInit } from "../../../../src/protocol/index.ts";
import { log } from "../log.ts";
import type { Session } from "../session.ts";
import type { Sysd } from "../sysd/sysd.ts";
import { runHooks } from "./hooks.ts";
import { type GuestFiles, writeIdentity, writeRunFiles } from "./identity.ts";
import type { InterpreterSeed } from "./reseed.ts";
import { installTrust } from "./trust.ts";

export interface Initialiser {
	/** @throws when the new identity could not be made: the sandbox stays locked */
	run(init: AgentInit): Promise<void>;
}

export interface InitialiserParts {
	readonly session: Session;
	readonly sysd: Sysd;
	readonly seed: InterpreterSeed;
	readonly files: GuestFiles;
}

/** The clock is left alone within these: behind and ahead, ms. Source: E2B wire protocol. */
const MAX_BEHIND_MS = 50;
const MAX_AHEAD_MS = 5000;

export function createInitialiser(parts: InitialiserParts): Initialiser {
	const { session, sysd, files } = parts;
	return {
		async run(init) {
			const life = await session.begin(init);
			await Promise.all([
				setClock(init, sysd),
				writeRunFiles(files, init),
				init.caBundle === undefined ? undefined : installTrust(files, init.caBundle),
				init.newIdentity ? becomeNew(init, parts) : undefined,
			]);
			if (init.newIdentity) await runHooks(files, init, sysd);
			await session.open(init, life);
		},
	};
}

async function becomeNew(init: AgentInit, { sysd, seed, files }: InitialiserParts): Promise<void> {
	await Promise.all([sysd.setHostname(init.hostname), writeIdentity(files, init), seed.give(init.entropy)]);
}

/** A kernel that does not let its clock be set keeps the host's, which is as good. */
async function setClock({ timestampMs }: AgentInit, sysd: Sysd): Promise<void> {
	const ahead = Date.now() - timestampMs;
	if (ahead >= -MAX_BEHIND_MS && ahead <= MAX_AHEAD_MS) return;
	await sysd.setClock(timestampMs).catch((error: unknown) => log("the clock could not be set", error));
}
