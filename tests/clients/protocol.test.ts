/** What the daemon's protocol has and no SDK sends, as any other client of it would: over plain HTTP, through the edge. */
import { Sandbox } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { envelope } from "../support/malformed.ts";
import { type Answer, rest } from "../support/rest.ts";
import { deleteAtEnd, newSandbox, sdk, until } from "../support/sandboxes.ts";

let sandbox: Sandbox;
beforeAll(async () => {
	sandbox = await Sandbox.create("base", { ...sdk(), envs: { GIVEN: "given" } });
});
afterAll(() => sandbox?.kill());

type Fields = Readonly<Record<string, string>>;

/** To the daemon, with its token. */
async function daemon(of: Sandbox, path: string, body: unknown, headers: Fields = {}): Promise<Response> {
	const token = (await rest("GET", `/sandboxes/${of.sandboxId}`)).body.envdAccessToken;
	const routed = { "X-Access-Token": token, "E2b-Sandbox-Id": of.sandboxId, "E2b-Sandbox-Port": "49983" };
	const sent = body instanceof Uint8Array ? new Blob([new Uint8Array(body)]) : JSON.stringify(body);
	return fetch(`${sdk().sandboxUrl}${path}`, {
		method: body === undefined ? "GET" : "POST",
		headers: { "Content-Type": "application/json", ...routed, ...headers },
		...(body === undefined ? {} : { body: sent }),
	});
}

async function json(answer: Response): Promise<Pick<Answer, "status" | "body">> {
	return { status: answer.status, body: await answer.json() };
}

const call = async (of: Sandbox, method: string, body: object) => json(await daemon(of, `/${method}`, body));

/** Messages of a stream, its end included. */
async function stream(method: string, message: object, headers: Fields = {}) {
	const type = { "Content-Type": "application/connect+json", "Connect-Protocol-Version": "1" };
	const answer = await daemon(sandbox, `/${method}`, envelope(0, JSON.stringify(message)), { ...type, ...headers });
	const bytes = Buffer.from(await answer.arrayBuffer());
	const messages = [];
	for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) {
		const payload = bytes.subarray(at + 5, at + 5 + bytes.readUInt32BE(at + 1)).toString();
		messages.push({ last: bytes.readUInt8(at) === 2, ...JSON.parse(payload) });
	}
	return { status: answer.status, messages };
}

const shell = (script: string) => ({ cmd: "/bin/sh", args: ["-c", script] });

describe("processes", () => {
	test("are found by their tag, which the list tells, and by no other", async () => {
		const started = stream("process.Process/Start", { process: shell("read word; echo got $word"), tag: "mine" });
		const process = { tag: "mine" };
		await until("it to be listed", async () => (await sandbox.commands.list()).some(({ tag }) => tag === "mine"));
		const input = { stdin: Buffer.from("it\n").toString("base64") };
		expect((await call(sandbox, "process.Process/SendInput", { process, input })).status).toBe(200);
		const { messages } = await started;
		expect(messages.flatMap(({ event }) => event?.data?.stdout ?? [])).toEqual([Buffer.from("got it\n").toString("base64")]);
		expect(await call(sandbox, "process.Process/SendSignal", { process: { tag: "none" }, signal: "SIGNAL_SIGTERM" })).toEqual({
			status: 404,
			body: { code: "not_found", message: "process with tag none not found" },
		});
	});

	test("that are silent give signs of life as often as asked for, and a program that is not there is an error", async () => {
		const interval = { "Keepalive-Ping-Interval": "1" };
		const { status, messages } = await stream("process.Process/Start", { process: shell("sleep 2.5; exit 3") }, interval);
		const kinds = messages.map(({ last, event }) => (last ? "last" : Object.keys(event)[0]));
		expect([status, kinds]).toEqual([200, ["start", "keepalive", "keepalive", "end", "last"]]);
		expect(messages.at(-2)?.event.end).toEqual({ exitCode: 3, exited: true, status: "exit status 3", error: "exit status 3" });
		const missing = await stream("process.Process/Start", { process: { cmd: "/no/such" } });
		expect([missing.status, missing.messages]).toMatchObject([200, [{ last: true, error: { code: "invalid_argument" } }]]);
	});

	test("are started in the binary form as well", async () => {
		const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
		const config = Buffer.concat([field(1, Buffer.from("/bin/echo")), field(2, Buffer.from("in binary"))]);
		const type = { "Content-Type": "application/connect+proto", "Connect-Protocol-Version": "1" };
		const answer = await daemon(sandbox, "/process.Process/Start", envelope(0, field(1, config)), type);
		expect(answer.headers.get("content-type")).toBe("application/connect+proto");
		expect(Buffer.from(await answer.arrayBuffer()).toString("latin1")).toContain("in binary\n");
	});
});

describe("watchers that are asked", () => {
	test("go on through snapshots and pauses of their sandbox, and in its clones, until they are removed", async () => {
		const own = await newSandbox();
		await own.commands.run("mkdir watched");
		const { watcherId } = (await call(own, "filesystem.Filesystem/CreateWatcher", { path: "watched" })).body;
		/** Names of all that is told until this one is. */
		const toldUntil = async (of: Sandbox, last: string) => {
			const names: string[] = [];
			await until(`news of ${last}`, async () => {
				const { events = [] } = (await call(of, "filesystem.Filesystem/GetWatcherEvents", { watcherId })).body;
				names.push(...events.map(({ name }: { readonly name: string }) => name));
				return names.includes(last);
			});
			return names;
		};
		await own.commands.run("mkdir watched/before");
		const clone = await newSandbox(deleteAtEnd((await own.createSnapshot()).snapshotId));
		await own.pause();
		await own.connect();
		for (const each of [own, clone]) {
			await each.commands.run(`mkdir watched/${each.sandboxId}`);
			expect(await toldUntil(each, each.sandboxId)).toEqual(["before", each.sandboxId]);
		}
		expect((await call(own, "filesystem.Filesystem/RemoveWatcher", { watcherId })).status).toBe(200);
		expect((await call(own, "filesystem.Filesystem/GetWatcherEvents", { watcherId })).body.code).toBe("not_found");
	});
});

describe("over HTTP", () => {
	test("files are joined in order and removed, or all of them kept", async () => {
		for (const name of ["one", "two"]) await sandbox.files.write(`parts/${name}`, name);
		const compose = (sources: readonly string[]) =>
			daemon(sandbox, "/files/compose", { source_paths: sources, destination: "/home/user/parts/all", username: "user" });
		expect((await compose(["/home/user/parts/one", "/home/user/parts/none"])).status).toBe(404);
		expect((await compose([])).status).toBe(400);
		const joined = await compose(["/home/user/parts/two", "/home/user/parts/one"]);
		expect(await json(joined)).toMatchObject({
			status: 200,
			body: { name: "all", path: "/home/user/parts/all", type: "file" },
		});
		expect(await sandbox.files.getInfo("parts/all")).toMatchObject({ size: 6, owner: "user" });
		expect(await sandbox.files.read("parts/all")).toBe("twoone");
		expect((await sandbox.files.list("parts")).map(({ name }) => name)).toEqual(["all"]);
	});

	test("the daemon tells its measures and the sandbox's variables", async () => {
		const { body: metrics } = await json(await daemon(sandbox, "/metrics", undefined));
		expect(metrics).toMatchObject({ cpu_count: 2, mem_total: 1024 ** 3, mem_total_mib: 1024 });
		expect(Object.keys(metrics).sort()).toEqual(
			"cpu_count cpu_used_pct disk_total disk_used mem_cache mem_total mem_total_mib mem_used mem_used_mib ts".split(" "),
		);
		expect(metrics.disk_used).toBeLessThan(metrics.disk_total);
		const { body: envs } = await json(await daemon(sandbox, "/envs", undefined));
		expect(envs).toMatchObject({ GIVEN: "given", E2B_SANDBOX: "true", E2B_SANDBOX_ID: sandbox.sandboxId });
	});
});
