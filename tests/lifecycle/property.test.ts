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
}

type Action = (typeof ACTIONS)[number];
const ACTIONS = [
	"connect",
	"connectCold",
	"resume",
	"pauseFull",
	"pauseFull",
	"pauseFiles",
	"fork",
	"snapshot",
	"timeout",
	"expire",
	"write",
	"write",
	"kill",
] as const;

/** Status of each call by state, and the state it leads to. */
const EXPECTED: Readonly<Record<Exclude<Action, "write" | "expire">, Readonly<Record<State, readonly [number, State]>>>> = {
	connect: { running: [200, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	connectCold: { running: [200, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	resume: { running: [409, "running"], full: [201, "running"], files: [201, "running"], gone: [404, "gone"] },
	pauseFull: { running: [204, "full"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	pauseFiles: { running: [204, "files"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	fork: { running: [201, "running"], full: [409, "full"], files: [409, "files"], gone: [404, "gone"] },
	snapshot: { running: [201, "running"], full: [404, "full"], files: [404, "files"], gone: [404, "gone"] },
	timeout: { running: [204, "running"], full: [404, "full"], files: [404, "files"], gone: [404, "gone"] },
	kill: { running: [204, "gone"], full: [204, "gone"], files: [204, "gone"], gone: [404, "gone"] },
};

const REQUESTS: Readonly<Record<keyof typeof EXPECTED, readonly [method: string, path: string, body?: object]>> = {
	connect: ["POST", "/connect", { timeout: TIMEOUT_S }],
	connectCold: ["POST", "/connect", { timeout: TIMEOUT_S, memory: false }],
	resume: ["POST", "/resume", { timeout: TIMEOUT_S }],
	pauseFull: ["POST", "/pause", {}],
	pauseFiles: ["POST", "/pause", { memory: false }],
	fork: ["POST", "/fork", { count: 1, timeout: TIMEOUT_S }],
	snapshot: ["POST", "/snapshots", {}],
	timeout: ["POST", "/timeout", { timeout: TIMEOUT_S }],
	kill: ["DELETE", ""],
};

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
		const templateID = this.#random() < 0.4 ? (this.#snapshots.at(-1) ?? "base") : "base";
		const { status, body } = await rest("POST", "/v2/sandboxes", {
			templateID,
			timeout: TIMEOUT_S,
			metadata: { campaign: this.#name },
			...(atEnd !== "kill" && { autoPause: true, autoPauseMemory: atEnd === "full" }),
		});
		expect(status, `create from ${templateID}: ${JSON.stringify(body)}`).toBe(201);
		await this.#add(body, atEnd);
	}

	async #add(sandbox: { sandboxID: string; envdAccessToken: string }, atEnd: Known["atEnd"]): Promise<void> {
		this.#known.set(sandbox.sandboxID, { id: sandbox.sandboxID, state: "running", memory: undefined, atEnd });
		this.#tokens.set(sandbox.sandboxID, sandbox.envdAccessToken);
	}

	/** The only call of this step to this sandbox: its answer and what it leads to are known. */
	async #alone(action: Action, known: Known): Promise<void> {
		if (action === "write") return this.#write(known);
		if (action === "expire") return this.#expire(known);
		const [status, next] = EXPECTED[action][known.state];
		const answer = await this.#call(action, known);
		expect(answer.status, `${action} of ${known.id}, ${known.state}: ${JSON.stringify(answer.body)}`).toBe(status);
		if (next === "files" || next === "gone" || (action === "connectCold" && known.state === "full")) known.memory = "";
		known.state = next;
	}

	async #amongOthers(action: Action, known: Known): Promise<void> {
		known.memory = undefined;
		if (action === "write" || action === "expire") return;
		const { status, body } = await this.#call(action, known);
		expect(status, `${action} of ${known.id}: ${JSON.stringify(body)}`).toBeLessThan(500);
	}

	async #call(action: keyof typeof EXPECTED, known: Known): Promise<Answer> {
		const [method, path, body] = REQUESTS[action];
		const answer = await rest(method, `/sandboxes/${known.id}${path}`, body);
		if (action === "fork" && answer.status === 201) await this.#add(answer.body[0].sandbox, known.atEnd);
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
		expect(answer.status, `write to ${known.id}, ${known.state}`).toBe(known.state === "running" ? 200 : 502);
		if (known.state === "running") known.memory = text;
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
			const { status } = await guest(known.id, this.#token(known), "/health");
			expect(status, `the edge for ${known.id}, ${known.state}`).toBe(known.state === "running" ? 204 : 502);
		}
	}

	async end(): Promise<void> {
		for (const { id, state } of this.#known.values()) if (state !== "gone") await rest("DELETE", `/sandboxes/${id}`);
		for (const id of this.#snapshots) await rest("DELETE", `/templates/${encodeURIComponent(id)}`);
	}
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
