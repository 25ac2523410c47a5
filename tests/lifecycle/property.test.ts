/**
 * Random operations of several clients at once on a real server, against a model that knows only what clients were
 * told. After each step API, edge, database and engine must agree. A failing seed can be run again: OFFSHOOT_TEST_SEED.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { containersOf } from "../support/host.ts";
import { campaignLength, campaignSeed, pick, seededRandom } from "../support/random.ts";
import { sdk, until } from "../support/sandboxes.ts";

const MAX_ALIVE = 6;
const MAX_SNAPSHOTS = 3;
const TIMEOUT_S = 3600;
const AGENT_PORT = "49983";

type State = "running" | "full" | "files" | "gone";

interface Known {
	readonly id: string;
	state: State;
	/** What its guest wrote to memory and has not lost; undefined when several calls at once leave that open. */
	memory: string | undefined;
	readonly atEnd: "kill" | "full" | "files";
	/** Whether traffic wakes it where its pause kept its memory. */
	readonly wakes: boolean;
}

type Action = (typeof ACTIONS)[number];
const ACTIONS = [
	"connect",
	"connectCold",
	"resume",
	"resumeCold",
	"pauseFull",
	"pauseFull",
	"pauseHealthy",
	"pauseFiles",
	"fork",
	"snapshot",
	"timeout",
	"refresh",
	"network",
	"expire",
	"write",
	"write",
	"visit",
	"kill",
] as const;
/** What clients ask of the guest, and what is brought about by its time. */
type Unlisted = "write" | "visit" | "expire";

/** Status of each call by state, and the state it leads to. */
const EXPECTED: Readonly<Record<Exclude<Action, Unlisted>, Readonly<Record<State, readonly [number, State]>>>> = {
	connect: { running: [200, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	connectCold: { running: [200, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	resume: { running: [409, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	resumeCold: { running: [409, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	pauseFull: { running: [204, "full"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	pauseHealthy: { running: [204, "full"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	pauseFiles: { running: [204, "files"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	fork: { running: [201, "running"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	snapshot: { running: [201, "running"], full: [404, "full"], files: [404, "files"], gone: [404, "gone"] },
	timeout: { running: [204, "running"], full: [404, "full"], files: [404, "files"], gone: [404, "gone"] },
	refresh: { running: [204, "running"], full: [404, "full"], files: [404, "files"], gone: [404, "gone"] },
	network: { running: [204, "running"], full: [404, "full"], files: [404, "files"], gone: [404, "gone"] },
	kill: { running: [204, "gone"], full: [204, "gone"], files: [204, "gone"], gone: [404, "gone"] },
};

const REQUESTS: Readonly<Record<keyof typeof EXPECTED, readonly [method: string, path: string, body?: object]>> = {
	connect: ["POST", "/connect", { timeout: TIMEOUT_S }],
	connectCold: ["POST", "/connect", { timeout: TIMEOUT_S, memory: false }],
	resume: ["POST", "/resume", { timeout: TIMEOUT_S }],
	resumeCold: ["POST", "/resume", { timeout: TIMEOUT_S, memory: false }],
	pauseFull: ["POST", "/pause", {}],
	pauseHealthy: ["POST", "/pause", { requireHealthyGuest: true }],
	pauseFiles: ["POST", "/pause", { memory: false }],
	fork: ["POST", "/fork", { count: 1, timeout: TIMEOUT_S }],
	snapshot: ["POST", "/snapshots", {}],
	timeout: ["POST", "/timeout", { timeout: TIMEOUT_S }],
	refresh: ["POST", "/refreshes", { duration: TIMEOUT_S }],
	network: ["PUT", "/network", { denyOut: ["192.0.2.0/24"] }],
	kill: ["DELETE", ""],
};

/** Calls that start anew what was paused with its memory. */
const COLD: readonly Action[] = ["connectCold", "resumeCold"];

/** What a call may be answered while others change the sandbox's state. */
function possible(action: keyof typeof EXPECTED): number[] {
	return [...Object.values(EXPECTED[action]).map(([status]) => status), 409];
}

interface Answer {
	readonly status: number;
	// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
	readonly body: any;
}

async function rest(method: string, path: string, body?: object): Promise<Answer> {
	const { apiKey, apiUrl } = sdk();
	const headers = { "x-api-key": apiKey, "content-type": "application/json" };
	const answer = await fetch(`${apiUrl}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
	const text = await answer.text();
	return { status: answer.status, body: text === "" ? undefined : JSON.parse(text) };
}

/** A request to the guest along the way that clients take. */
async function guest(id: string, token: string, path: string, init: RequestInit = {}): Promise<Response> {
	const headers = { "E2b-Sandbox-Id": id, "E2b-Sandbox-Port": AGENT_PORT, "X-Access-Token": token };
	return fetch(`${sdk().sandboxUrl}${path}`, { ...init, headers });
}

/** On a tmpfs: it is memory, and lost in a cold start. */
const MEMORY_FILE = "/files?path=/dev/shm/note&username=user";

class Campaign {
	readonly #name: string;
	readonly #random: () => number;
	readonly #known = new Map<string, Known>();
	readonly #tokens = new Map<string, string>();
	#snapshots: string[] = [];
	#notes = 0;
	/** Lines to find a failing step by. */
	readonly history: string[] = [];

	constructor(seed: number) {
		this.#name = `campaign-${seed}`;
		this.#random = seededRandom(seed);
	}

	async step(): Promise<void> {
		const calls = Array.from({ length: 1 + Math.floor(this.#random() * 3) }, () => this.#draw());
		this.history.push(calls.map(([action, known]) => `${action} ${known?.id ?? ""} (${known?.state ?? ""})`).join(", "));
		const targets = calls.flatMap(([, known]) => (known ? [known] : []));
		await Promise.all(
			calls.map(([action, known]) => {
				if (action === "create" || known === undefined) return this.#create();
				const alone = targets.filter((other) => other === known).length === 1;
				return alone ? this.#alone(action, known) : this.#amongOthers(action, known);
			}),
		);
		for (const known of new Set(targets)) await this.#settle(known);
		await this.#agree(targets);
	}

	#draw(): readonly [Action | "create", Known | undefined] {
		const alive = [...this.#known.values()].filter(({ state }) => state !== "gone");
		if (alive.length < 2) return ["create", undefined];
		if (alive.length < MAX_ALIVE && this.#random() < 0.1) return ["create", undefined];
		const dead = [...this.#known.values()].filter(({ state }) => state === "gone").slice(-1);
		const target = pick(this.#random, [...alive, ...dead]);
		const action = alive.length >= MAX_ALIVE ? pick(this.#random, ["kill", "expire"] as const) : pick(this.#random, ACTIONS);
		return [action, target];
	}

	async #create(): Promise<void> {
		const atEnd = pick(this.#random, ["kill", "full", "files"] as const);
		const wakes = atEnd !== "files" && this.#random() < 0.5;
		const templateID = this.#random() < 0.4 ? (this.#snapshots.at(-1) ?? "base") : "base";
		const { status, body } = await rest("POST", "/v2/sandboxes", {
			templateID,
			timeout: TIMEOUT_S,
			metadata: { campaign: this.#name },
			...(atEnd !== "kill" && { autoPause: true, autoPauseMemory: atEnd === "full" }),
			autoResume: { enabled: wakes },
		});
		expect(status, `create from ${templateID}: ${JSON.stringify(body)}`).toBe(201);
		this.#add(body, { atEnd, wakes });
	}

	#add(sandbox: { sandboxID: string; envdAccessToken: string }, { atEnd, wakes }: Pick<Known, "atEnd" | "wakes">): void {
		this.#known.set(sandbox.sandboxID, { id: sandbox.sandboxID, state: "running", memory: undefined, atEnd, wakes });
		this.#tokens.set(sandbox.sandboxID, sandbox.envdAccessToken);
	}

	/** The only call of this step to this sandbox: its answer and what it leads to are known. */
	async #alone(action: Action, known: Known): Promise<void> {
		if (action === "write") return this.#write(known);
		if (action === "visit") return this.#visit(known);
		if (action === "expire") return this.#expire(known);
		const [status, next] = EXPECTED[action][known.state];
		const answer = await this.#call(action, known);
		expect(answer.status, `${action} of ${known.id}, ${known.state}: ${JSON.stringify(answer.body)}`).toBe(status);
		if (next === "files" || next === "gone" || (COLD.includes(action) && known.state === "full")) known.memory = "";
		known.state = next;
	}

	async #amongOthers(action: Action, known: Known): Promise<void> {
		known.memory = undefined;
		if (action === "expire") return;
		if (action === "write" || action === "visit") {
			const { status } = await guest(known.id, this.#token(known), "/health");
			expect([204, 409, 502], `a visit to ${known.id}`).toContain(status);
			return;
		}
		const { status, body } = await this.#call(action, known);
		expect(possible(action), `${action} of ${known.id}: ${status} ${JSON.stringify(body)}`).toContain(status);
	}

	async #call(action: keyof typeof EXPECTED, known: Known): Promise<Answer> {
		const [method, path, body] = REQUESTS[action];
		const answer = await rest(method, `/sandboxes/${known.id}${path}`, body);
		if (action === "fork" && answer.status === 201) this.#add(answer.body[0].sandbox, known);
		if (action === "snapshot" && answer.status === 201) await this.#keepSnapshot(answer.body.snapshotID);
		return answer;
	}

	async #keepSnapshot(id: string): Promise<void> {
		this.#snapshots.push(id);
		if (this.#snapshots.length <= MAX_SNAPSHOTS) return;
		const oldest = this.#snapshots.shift() ?? "";
		const { status } = await rest("DELETE", `/templates/${encodeURIComponent(oldest)}`);
		// 400: a sandbox is based on it.
		expect([204, 400]).toContain(status);
		if (status === 400) this.#snapshots.unshift(oldest);
	}

	async #write(known: Known): Promise<void> {
		const text = `note ${this.#notes++}`;
		const body = new FormData();
		body.append("file", new Blob([text]), "note");
		const answer = await guest(known.id, this.#token(known), MEMORY_FILE, { method: "POST", body });
		expect(answer.status, `write to ${known.id}, ${known.state}`).toBe(isReachable(known) ? 200 : 502);
		if (!isReachable(known)) return;
		known.state = "running";
		known.memory = text;
	}

	async #visit(known: Known): Promise<void> {
		const { status } = await guest(known.id, this.#token(known), "/health");
		expect(status, `a visit to ${known.id}, ${known.state}`).toBe(isReachable(known) ? 204 : 502);
		if (isReachable(known)) known.state = "running";
	}

	async #expire(known: Known): Promise<void> {
		if (known.state !== "running") return;
		expect((await rest("POST", `/sandboxes/${known.id}/timeout`, { timeout: 0 })).status).toBe(204);
		const next = known.atEnd === "kill" ? "gone" : known.atEnd;
		await until(`the end of ${known.id}`, async () => (await this.#stateOf(known.id)) === next);
		known.state = next;
		if (next !== "full") known.memory = "";
	}

	/** After several calls at once it may be in any state that one of them leads to: what the API says holds. */
	async #settle(known: Known): Promise<void> {
		const state = await this.#stateOf(known.id);
		if (known.memory === undefined) known.state = state;
		else expect(state, `state of ${known.id}`).toBe(known.state);
		if (known.memory && state === "running") {
			const answer = await guest(known.id, this.#token(known), MEMORY_FILE);
			expect(await answer.text(), `memory of ${known.id}`).toBe(known.memory);
		}
	}

	async #stateOf(id: string): Promise<State> {
		for (;;) {
			const { status, body } = await rest("GET", `/sandboxes/${id}`);
			if (status === 404) return "gone";
			if (body.state === "running") return "running";
			if (body.pauseMode !== undefined) return body.pauseMode === "filesystem" ? "files" : "full";
			// Shown as paused from the beginning of its pause; what that kept is known at its end.
			await sleep(50);
		}
	}

	#token({ id }: Known): string {
		return this.#tokens.get(id) ?? "";
	}

	/** The API's list, the database, the engine's containers and the edge tell the same as the model. */
	async #agree(touched: readonly Known[]): Promise<void> {
		const ids = (...states: State[]) =>
			[...this.#known.values()]
				.filter(({ state }) => states.includes(state))
				.map(({ id }) => id)
				.sort();
		const { body } = await rest("GET", `/v2/sandboxes?metadata=${encodeURIComponent(`campaign=${this.#name}`)}`);
		const listed: readonly { sandboxID: string; state: string }[] = body;
		const inList = (state: string) =>
			listed
				.filter((sandbox) => sandbox.state === state)
				.map((sandbox) => sandbox.sandboxID)
				.sort();
		expect([inList("running"), inList("paused")], "the list").toEqual([ids("running"), ids("full", "files")]);

		const rows = inDatabase([...this.#known.keys()]);
		expect(rows, "the database").toEqual([...this.#known.values()].map(({ id, state }) => [id, state]).sort());

		// A container goes after its row: what ends by itself is still being removed.
		await vi.waitFor(
			async () => {
				const ours = (await inEngine()).filter(({ sandboxId }) => this.#known.has(sandboxId));
				expect(ours.map(({ sandboxId }) => sandboxId).sort(), "containers").toEqual(ids("running"));
			},
			{ timeout: 20_000 },
		);

		for (const known of new Set(touched)) {
			// To ask would wake it.
			if (known.state === "full" && known.wakes) continue;
			const { status } = await guest(known.id, this.#token(known), "/health");
			expect(status, `the edge for ${known.id}, ${known.state}`).toBe(known.state === "running" ? 204 : 502);
		}
	}

	async end(): Promise<void> {
		for (const { id, state } of this.#known.values()) if (state !== "gone") await rest("DELETE", `/sandboxes/${id}`);
		for (const id of this.#snapshots) await rest("DELETE", `/templates/${encodeURIComponent(id)}`);
	}
}

/** Whether traffic finds the guest, or brings it back. */
function isReachable({ state, wakes }: Known): boolean {
	return state === "running" || (state === "full" && wakes);
}

/** Id and state of each row. */
function inDatabase(wanted: readonly string[]): readonly (readonly [string, string])[] {
	const database = new DatabaseSync(join(inject("server").dataDir, "offshoot.db"), { readOnly: true });
	try {
		const select = database.prepare("select state, pause_mode from sandboxes where id = ?");
		return wanted
			.map((id): [string, string] => {
				const row = select.get(id);
				if (row === undefined || row.state === "ended") return [id, "gone"];
				if (row.state !== "paused") return [id, String(row.state)];
				return [id, row.pause_mode === "filesystem" ? "files" : "full"];
			})
			.sort();
	} finally {
		database.close();
	}
}

async function inEngine(): Promise<readonly { readonly sandboxId: string }[]> {
	return containersOf((await readFile(join(inject("server").dataDir, "instance"), "utf8")).trim());
}

test("whatever several clients do at once, API, edge, database and engine agree", { timeout: 3_600_000, retry: 0 }, async () => {
	const seed = campaignSeed();
	const steps = campaignLength(200, 2000);
	process.stdout.write(`property test: ${steps} steps, OFFSHOOT_TEST_SEED=${seed}\n`);
	const campaign = new Campaign(seed);
	onTestFinished(() => campaign.end());
	for (let step = 0; step < steps; step++) {
		await campaign.step().catch((error: unknown) => {
			const last = campaign.history.slice(-5).join("\n");
			throw new Error(`step ${step} of seed ${seed} failed after:\n${last}`, { cause: error });
		});
	}
});
