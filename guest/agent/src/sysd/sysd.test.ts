import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestAgent } from "../../testing/agent.ts";
import type { ProgramEnd } from "./program.ts";
import { type SpawnRequest, Sysd } from "./sysd.ts";

let agent: TestAgent;
let sysd: Sysd;
let directory: string;

beforeAll(async () => {
	agent = await TestAgent.start();
	sysd = new Sysd(join(agent.directory, "sysd.sock"));
	directory = await mkdtemp(join(tmpdir(), "offshoot-sysd-test-"));
}, 60_000);

afterAll(async () => {
	sysd.close();
	await agent[Symbol.asyncDispose]();
	await rm(directory, { recursive: true });
});

const REQUEST: SpawnRequest = {
	program: "sh",
	args: [],
	environment: { PATH: "/usr/bin:/bin" },
	cwd: "/",
	uid: 0,
	gid: 0,
	groups: [0],
	description: "",
	input: "null",
};

async function run(changes: Partial<SpawnRequest>): Promise<{ output: string; end: ProgramEnd | undefined }> {
	const program = await sysd.spawn({ ...REQUEST, ...changes });
	return await new Promise((resolve) => {
		let output = "";
		program.listen({
			output: (_, data) => {
				output += data.toString();
			},
			end: (end) => resolve({ output, end }),
		});
	});
}

describe("programs", () => {
	test("get exactly the ids and groups asked for, and no capabilities", async () => {
		const { output } = await run({
			args: ["-c", "id -u; id -g; id -G; grep CapEff /proc/self/status"],
			uid: 65534,
			gid: 65533,
			groups: [65533, 27, 4321],
		});
		expect(output.trim().split("\n")).toEqual(["65534", "65533", "65533 27 4321", "CapEff:\t0000000000000000"]);
	});

	test("start with nothing open but their own three, no signal blocked or ignored, in a session of their own", async () => {
		const script =
			"ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader";
		const { output } = await run({ args: ["-c", script] });
		// 3 is the directory that ls reads.
		expect(output.trim().split("\n")).toEqual([
			"0",
			"1",
			"2",
			"3",
			"SigBlk:\t0000000000000000",
			"SigIgn:\t0000000000000000",
			"leader",
		]);
	});

	test("are looked up in the PATH they get", async () => {
		await writeFile(join(directory, "mine"), "#!/bin/sh\necho found\n", { mode: 0o755 });
		const found = await run({ program: "mine", environment: { PATH: `/none:${directory}` } });
		expect(found.output).toBe("found\n");
		await expect(run({ program: "mine" })).rejects.toMatchObject({ stage: "exec", code: "ENOENT" });
	});

	test("what cannot be started is told with its reason", async () => {
		await expect(run({ program: "/etc/passwd" })).rejects.toMatchObject({ stage: "exec", code: "EACCES" });
		await expect(run({ cwd: "/none" })).rejects.toMatchObject({ stage: "cwd", code: "ENOENT" });
		await expect(run({ args: ["x".repeat(200_000)] })).rejects.toMatchObject({ stage: "exec", code: "E2BIG" });
		await expect(run({ args: ["x".repeat(9_000_000)] })).rejects.toMatchObject({ stage: "exec", code: "E2BIG" });
	});

	test("that go on after SIGTERM leave nothing of what they printed behind, however late it is taken", async () => {
		// Fills its pipe as often as that has room, and ends with a full one.
		const fill = "dd if=/dev/zero bs=4096 oflag=nonblock 2>> written";
		const wait = "trap told=1 TERM; echo ready; while [ -z $told ]; do sleep 0.05; done";
		const script = `${wait}; for i in $(seq 20); do ${fill}; sleep 0.05; done; exit 3`;
		const environment = { ...REQUEST.environment, LC_ALL: "C" };
		const program = await sysd.spawn({ ...REQUEST, environment, args: ["-c", script], cwd: directory });
		let heard = 0;
		const ended = new Promise((resolve) => {
			program.listen({
				output: (_kind, data) => {
					heard += data.length;
				},
				end: resolve,
			});
		});
		await vi.waitUntil(() => heard > 0, { timeout: 10_000 });
		program.pause();
		await sysd.signal(program.pid, 15);
		const ask = () => sysd.signal(program.pid, 0);
		await vi.waitFor(() => expect(ask()).rejects.toMatchObject({ code: "ESRCH" }), { timeout: 20_000 });
		program.resume();
		expect(await ended).toEqual({ exitCode: 3, signal: 0, coreDumped: false });
		const written = [...(await readFile(join(directory, "written"), "utf8")).matchAll(/^(\d+) bytes/gm)];
		expect(heard - "ready\n".length).toBe(written.reduce((sum, [, bytes]) => sum + Number(bytes), 0));
	});

	test("that ended before they were spoken to still tell how, and what they printed", async () => {
		const program = await sysd.spawn({ ...REQUEST, args: ["-c", "sleep 0.2; echo last words; exit 3"], input: "pipe" });
		program.pause();
		const isListed = async () => (await sysd.list()).some(({ pid }) => pid === program.pid);
		await vi.waitUntil(async () => !(await isListed()), { timeout: 10_000 });
		await sysd.list();
		const close = program.closeInput();
		await sysd.list();
		const heard: unknown[] = [];
		const ended = new Promise((resolve) => {
			program.listen({ output: (kind, data) => heard.push([kind, data.toString()]), end: resolve });
		});
		program.resume();
		expect(await ended).toEqual({ exitCode: 3, signal: 0, coreDumped: false });
		expect(heard).toEqual([["stdout", "last words\n"]]);
		await close;
	});

	test("that end with input on its way leave nothing of it to the next", async () => {
		const deaf = await sysd.spawn({ ...REQUEST, args: ["-c", "sleep 60"], input: "pipe" });
		const deafEnd = new Promise((resolve) => deaf.listen({ output: () => undefined, end: resolve }));
		const write = deaf.write(Buffer.alloc(1_000_000));
		await sysd.signal(deaf.pid, 9);
		await expect(write).rejects.toMatchObject({ code: "EPIPE" });
		await deafEnd;
		for (const word of ["one", "two"]) {
			const program = await sysd.spawn({ ...REQUEST, program: "cat", input: "pipe" });
			const heard: string[] = [];
			const ended = new Promise((resolve) => {
				program.listen({ output: (_, data) => heard.push(data.toString()), end: resolve });
			});
			await program.write(Buffer.from(word));
			await program.closeInput();
			expect(await ended).toEqual({ exitCode: 0, signal: 0, coreDumped: false });
			expect(heard).toEqual([word]);
		}
	});

	test("started by the hundred while sysd gets no processor all start", async () => {
		process.kill(agent.sysdPid, "SIGSTOP");
		const runs = Promise.all(Array.from({ length: 300 }, async () => (await run({ program: "true" })).end?.exitCode));
		setTimeout(() => process.kill(agent.sysdPid, "SIGCONT"), 500);
		expect(new Set(await runs)).toEqual(new Set([0]));
	});

	test("that dump core are told so by number", async () => {
		const { end } = await run({ args: ["-c", "kill -SEGV $$"] });
		expect(end?.signal).toBe(11);
	});
});

describe("attributes", () => {
	test("of many files come in one answer, in their order", async () => {
		const paths = Array.from({ length: 300 }, (_, index) => join(directory, `f${index}`));
		for (const path of paths) await writeFile(path, "");
		await sysd.setAttributes(paths[7] ?? "", { a: "1", b: "" });
		const all = await sysd.attributes([...paths, "/none"]);
		expect(all).toHaveLength(301);
		expect(all.map((each) => Object.keys(each).length).reduce((a, b) => a + b)).toBe(2);
		expect(all[7]).toEqual({ a: "1", b: "" });
	});
});

describe("requests", () => {
	test("about more paths than a frame takes are made in parts, answered in order, beside others", async () => {
		const marked = join(directory, "marked");
		await writeFile(marked, "");
		await sysd.setAttributes(marked, { a: "1" });
		const others = Array.from({ length: 20_000 }, (_, index) => `/none/${"x".repeat(480)}${index}`);
		const lost = vi.fn();
		sysd.onReplaced(lost);
		const [all, meanwhile] = await Promise.all([
			sysd.attributes([marked, ...others.slice(0, 9_000), marked, ...others.slice(9_000), marked]),
			sysd.attributes([marked]),
		]);
		expect(all.flatMap((each, index) => (each.a === "1" ? [index] : []))).toEqual([0, 9_001, 20_002]);
		expect([all.length, meanwhile]).toEqual([20_003, [{ a: "1" }]]);
		expect(lost).not.toHaveBeenCalled();
	});

	test("larger than sysd takes are refused alone, and others served on", async () => {
		const kept = sysd.kept();
		await expect(sysd.attributes([`/${"x".repeat(9_000_000)}`])).rejects.toMatchObject({ code: "E2BIG" });
		expect(await kept).toBeDefined();
	});
});

describe("checkpoints", () => {
	/** In place of sysd, which watches them on gVisor only: agrees to all, and keeps who is connected. */
	async function agreeing() {
		const path = join(directory, "agreeing.sock");
		const connected = new Set<Socket>();
		const server = createServer((socket) => {
			connected.add(socket);
			socket.on("data", () => socket.write(Buffer.from([0x41, 4, 0, 0, 0, 0, 0, 0, 0])));
			socket.once("close", () => connected.delete(socket));
		});
		await once(server.listen(path), "listening");
		return { path, connected, [Symbol.asyncDispose]: async () => void server.close() };
	}

	test("are told by one watch: another takes its place, for each is a process", async () => {
		await using peer = await agreeing();
		const own = new Sysd(peer.path);
		const told: string[] = [];
		await own.watchCheckpoints((outcome) => told.push(`first ${outcome}`), vi.fn());
		await own.watchCheckpoints((outcome) => told.push(`second ${outcome}`), vi.fn());
		await vi.waitUntil(() => peer.connected.size === 1);
		for (const socket of peer.connected) socket.write(Buffer.from("q\x07\0\0\0restore", "latin1"));
		await vi.waitUntil(() => told.length > 0);
		expect(told).toEqual(["second restore"]);
		own.close();
	});
});

describe("peers", () => {
	test.each([
		["an unknown type", Buffer.from([0x7a, 0, 0, 0, 0])],
		["an enormous length", Buffer.from([0x53, 255, 255, 255, 255])],
		["a list longer than its frame", Buffer.from([0x4d, 4, 0, 0, 0, 255, 255, 255, 255])],
		["a half request", Buffer.from([0x53, 4, 0, 0, 0, 1, 0, 0, 0])],
	])("with %s are cut off, and others served on", async (_, bytes) => {
		const socket = createConnection({ path: join(agent.directory, "sysd.sock") });
		socket.resume();
		await new Promise((resolve) => {
			socket.once("close", resolve);
			socket.write(bytes);
		});
		expect((await run({ args: ["-c", "echo on"] })).output).toBe("on\n");
	});
});
