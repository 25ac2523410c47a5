/** The daemon inside every sandbox: puts the parts together. */
import { AGENT_PORT, CONTROL_PORT, GATEWAY_ADDRESS, INTERPRETER_NOTICE_PORT } from "../../../src/protocol/index.ts";
import { watchCheckpoints } from "./control/checkpoint.ts";
import { createInitialiser } from "./control/initialise.ts";
import { InterpreterSeed } from "./control/reseed.ts";
import { createControlServer } from "./control/server.ts";
import { log } from "./log.ts";
import { compactMemory } from "./memory.ts";
import { ProcessRegistry } from "./process/registry.ts";
import { replaceHeaders } from "./rpc/headers.ts";
import { createAgentServer } from "./server.ts";
import { Session } from "./session.ts";
import { Sysd } from "./sysd/sysd.ts";
import { Users } from "./users.ts";

const SYSD_SOCKET = "/run/offshoot/sysd.sock";
/** ms; sysd is started together with us */
const SYSD_LIMIT = 10_000;

/** ms after the start, when the garbage of starting up is all there */
const COMPACT_AFTER_MS = 300;

/** A setting from the environment, which is then taken out of it. */
function take(name: string): string | undefined {
	const value = process.env[name];
	delete process.env[name];
	return value;
}

async function main(): Promise<void> {
	replaceHeaders();
	const controlKey = take("OFFSHOOT_CONTROL_KEY") ?? "";
	const sysd = new Sysd(take("OFFSHOOT_SYSD_SOCKET") ?? SYSD_SOCKET);
	await sysd.ready(SYSD_LIMIT);

	const session = new Session(sysd, controlKey);
	session.recover(await sysd.kept());
	const users = new Users();
	const processes = new ProcessRegistry(sysd);
	await processes.recover();
	session.onNewLife = () => processes.forgetDeadlines();

	const seed = new InterpreterSeed(Number(take("OFFSHOOT_NOTICE_PORT") ?? INTERPRETER_NOTICE_PORT));
	const files = { root: take("OFFSHOOT_ROOT") ?? "/" };
	const initialiser = createInitialiser({ session, sysd, seed, files });
	const peer = take("OFFSHOOT_CONTROL_PEER") ?? GATEWAY_ADDRESS;
	const agentPort = Number(take("OFFSHOOT_AGENT_PORT") ?? AGENT_PORT);
	const controlPort = Number(take("OFFSHOOT_CONTROL_PORT") ?? CONTROL_PORT);

	// Before the ports are open, so that no checkpoint can be taken by someone who saw us ready and be missed by us.
	await watchCheckpoints(sysd, session);
	sysd.onReplaced(() => void followSysd(sysd, session));
	createAgentServer({ session, sysd, users, processes, seed }).listen(agentPort);
	createControlServer({ session, initialiser, peer }).listen(controlPort, "0.0.0.0");
	setTimeout(compactMemory, COMPACT_AFTER_MS).unref();
}

/** A new sysd knows nothing: give it what it shall keep. */
async function followSysd(sysd: Sysd, session: Session): Promise<void> {
	await sysd.ready(SYSD_LIMIT);
	await session.save();
	await watchCheckpoints(sysd, session);
}

/** The supervisor starts us again; sysd keeps the processes and the session meanwhile. */
function die(what: string, error: unknown): void {
	log(what, error);
	process.exit(1);
}

process.on("uncaughtException", (error) => die("uncaught exception", error));
process.on("unhandledRejection", (error) => log("unhandled rejection", error));

main().catch((error: unknown) => die("start failed", error));
