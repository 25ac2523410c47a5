/**
 * Decides about each request to a sandbox. For a running one it is a look into memory; a paused one that may be woken by
 * traffic is resumed once for all requests that wait for it.
 */
import type { SandboxRecord } from "../fleet/index.ts";
import { AGENT_PORT, isSameSecret, OffshootError, sandboxNotFound } from "../protocol/index.ts";
import type { Core } from "./core.ts";
import { decide } from "./decide.ts";
import { beginResume } from "./pause.ts";
import { autoResumeTimeout } from "./timeouts.ts";
import type { Admission, AdmissionRequest } from "./types.ts";

/** @throws whatever made a resume fail, unless it is one of the kinds of Admission */
export async function admit(core: Core, request: AdmissionRequest, signal: AbortSignal): Promise<Admission> {
	try {
		return await decide<Admission>(
			core,
			"admit",
			() => living(core, request.sandboxId),
			{
				go: async (record) => (record.state === "paused" ? wake(core, record, request) : proxyTo(record)),
				join: (operation) => operation.outcome.then(() => proxyTo(living(core, request.sandboxId))),
			},
			signal,
		);
	} catch (error) {
		return refused(error);
	}
}

async function wake(core: Core, record: SandboxRecord, request: AdmissionRequest): Promise<Admission> {
	if (!record.autoResume) return { kind: "not-found" };
	if (request.preflight) return { kind: "asleep" };
	if (!mayWake(record, request)) return { kind: "forbidden" };
	core.assertOpen();
	return proxyTo(await beginResume(core, record, { timeout: autoResumeTimeout(record), memory: true }));
}

/** The agent's port needs the agent's token if there is one, the others the traffic token if they are private. */
function mayWake(record: SandboxRecord, request: AdmissionRequest): boolean {
	if (request.port === AGENT_PORT) return matches(request.accessToken, record.accessToken);
	return matches(request.trafficToken, record.trafficToken);
}

function matches(given: string | undefined, wanted: string | undefined): boolean {
	if (wanted === undefined) return true;
	return given !== undefined && isSameSecret(given, wanted);
}

function living(core: Core, sandboxId: string): SandboxRecord {
	const record = core.ledger.get(sandboxId);
	if (!record) throw sandboxNotFound(sandboxId);
	return record;
}

function proxyTo(record: SandboxRecord): Admission {
	if (record.address === undefined) return { kind: "transitioning" };
	return {
		kind: "proxy",
		incarnation: record.incarnation,
		address: record.address,
		trafficToken: record.trafficToken,
		accessToken: record.accessToken,
		maskRequestHost: record.network?.maskRequestHost,
		...(record.network?.httpsPorts && { httpsPorts: record.network.httpsPorts }),
	};
}

function refused(error: unknown): Admission {
	if (!(error instanceof OffshootError)) throw error;
	if (error.code === "not_found") return { kind: "not-found" };
	if (error.code === "conflict") return { kind: "transitioning" };
	if (error.code === "too_many") return { kind: "limit", message: error.message };
	throw error;
}
