/**
 * Runs a real agent with its sysd on this machine, in a UTS namespace and a directory of its own, so that no identity
 * it is given reaches the machine.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, generateKeyPairSync, type KeyObject, randomInt, sign } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type AgentInit, CONTROL_SIGNATURE_HEADER } from "../../../src/protocol/index.ts";
import { SMALL_HEAP } from "../../../tests/support/heap.ts";
import { buildSysd } from "../packaging/compile.ts";
import { makeWorld } from "./world.ts";

const MAIN = join(import.meta.dirname, "../src/main.ts");

export interface ControlKey {
	readonly privateKey: KeyObject;
	/** SPKI DER in base64 */
	readonly publicKey: string;
}

export function newControlKey(): ControlKey {
	const { privateKey, publicKey } = generateKeyPairSync("ed25519");
	return { privateKey, publicKey: publicKey.export({ format: "der", type: "spki" }).toString("base64") };
}

/** A port outside the range from which the kernel takes those of outgoing connections, so that it stays free. */
async function freePort(): Promise<number> {
	for (;;) {
		const port = randomInt(12_000, 32_000);
		const server = createServer().listen(port, "0.0.0.0");
		const free = await Promise.race([once(server, "listening").then(() => true), once(server, "error").then(() => false)]);
		server.close();
		if (free) return port;
	}
}

const SYSD = join(import.meta.dirname, "../../../node_modules/.cache/offshoot");

/** sysd, compiled once for each version of its sources. */
async function sysdProgram(): Promise<string> {
	const program = join(SYSD, `sysd-${await sourceDigest()}`);
	if (existsSync(program)) return program;
	await mkdir(SYSD, { recursive: true });
	const draft = `${program}.${process.pid}`;
	await buildSysd(draft, AbortSignal.timeout(60_000));
	await rename(draft, program);
	return program;
}

async function sourceDigest(): Promise<string> {
	const directory = join(import.meta.dirname, "../sysd");
	const hash = createHash("sha256");
	for (const name of (await readdir(directory)).sort()) hash.update(await readFile(join(directory, name)));
	return hash.digest("hex").slice(0, 16);
}

/** Ends with this process, however that ends. */
function spawnBound(command: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
	return spawn("setpriv", ["--pdeathsig", "KILL", ...command], { env, stdio: "inherit" });
}

async function end(child: ChildProcess | undefined): Promise<void> {
	if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
	const ended = once(child, "exit");
	child.kill("SIGKILL");
	await ended;
}

/** Where the agent lives. */
interface Place {
	/** Of this machine. */
	readonly directory: string;
	/** The same as the agent sees it. */
	readonly seen: string;
	/** Command prefix that takes a program there. */
	readonly enter: readonly string[];
}

export class TestAgent {
	readonly directory: string;
	readonly port: number;
	readonly controlPort: number;
	/** Where an interpreter would take its seed. */
	readonly noticePort: number;
	private readonly place: Place;
	private readonly sysd: ChildProcess;
	private agent: ChildProcess | undefined;
	private readonly firstKey: ControlKey;
	private key: ControlKey;

	private constructor(place: Place, ports: readonly [number, number, number], sysd: ChildProcess) {
		this.place = place;
		this.directory = place.directory;
		[this.port, this.controlPort, this.noticePort] = ports;
		this.sysd = sysd;
		this.firstKey = newControlKey();
		this.key = this.firstKey;
	}

	/** A locked agent: `initialise` opens it. */
	static async start(): Promise<TestAgent> {
		const directory = await mkdtemp(join(tmpdir(), "offshoot-agent-"));
		return await TestAgent.startAt({ directory, seen: directory, enter: [] });
	}

	/** A locked agent whose root is a directory of its own: no request to it can damage this machine. */
	static async startInWorld(): Promise<TestAgent> {
		const directory = await mkdtemp(join(tmpdir(), "offshoot-agent-"));
		return await TestAgent.startAt({ directory, seen: "/", enter: await makeWorld(directory) });
	}

	private static async startAt(place: Place): Promise<TestAgent> {
		const socket = join(place.seen, "sysd.sock");
		const sysd = spawnBound(["unshare", "--uts", ...place.enter, await sysdProgram(), socket], process.env);
		const agent = new TestAgent(place, [await freePort(), await freePort(), await freePort()], sysd);
		await agent.startDaemon();
		return agent;
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	get root(): string {
		return join(this.directory, "own");
	}

	get daemonPid(): number {
		return this.agent?.pid ?? 0;
	}

	get sysdPid(): number {
		return this.sysd.pid ?? 0;
	}

	async startDaemon(): Promise<void> {
		const env = {
			PATH: process.env.PATH,
			OFFSHOOT_SYSD_SOCKET: join(this.place.seen, "sysd.sock"),
			OFFSHOOT_AGENT_PORT: String(this.port),
			OFFSHOOT_CONTROL_PORT: String(this.controlPort),
			OFFSHOOT_NOTICE_PORT: String(this.noticePort),
			OFFSHOOT_CONTROL_PEER: "127.0.0.1",
			OFFSHOOT_CONTROL_KEY: this.firstKey.publicKey,
			OFFSHOOT_ROOT: join(this.place.seen, "own"),
		};
		this.agent = spawnBound([...this.place.enter, process.execPath, ...SMALL_HEAP, MAIN], env);
		for (let tries = 0; tries < 400; tries++, await sleep(25)) {
			const answer = await fetch(`http://127.0.0.1:${this.controlPort}/health`).catch(() => undefined);
			if (answer?.status === 204) return;
		}
		throw new Error("the agent did not start");
	}

	/** Ends the daemon as a crash would. */
	async killDaemon(): Promise<void> {
		await end(this.agent);
	}

	/** Sends an init signed with the key that the agent expects, and keeps the next one. */
	async initialise(changes: Partial<AgentInit> = {}): Promise<Response> {
		const next = newControlKey();
		const answer = await this.control({ ...initFor(next.publicKey), ...changes }, this.key);
		if (answer.ok) this.key = next;
		return answer;
	}

	async control(init: unknown, key: ControlKey): Promise<Response> {
		return await this.controlRaw(JSON.stringify(init), key);
	}

	async controlRaw(body: string, key: ControlKey): Promise<Response> {
		const signature = sign(null, Buffer.from(body), key.privateKey).toString("base64");
		const headers = { [CONTROL_SIGNATURE_HEADER]: signature };
		return await fetch(`http://127.0.0.1:${this.controlPort}/init`, { method: "POST", body, headers });
	}

	get currentKey(): ControlKey {
		return this.key;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.killDaemon();
		await end(this.sysd);
		await rm(this.directory, { recursive: true, force: true });
	}
}

export function initFor(nextControlKey: string): AgentInit {
	return {
		sandboxId: "itestsandbox",
		templateId: "ttesttemplate",
		incarnation: 1,
		generation: 1,
		nextControlKey,
		newIdentity: false,
		envs: {},
		hostname: "itestsandbox",
		defaultUser: "root",
		timestampMs: Date.now(),
		entropy: Buffer.alloc(32, 7).toString("base64"),
	};
}
