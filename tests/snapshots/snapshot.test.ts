import type { Sandbox as CodeSandbox } from "@e2b/code-interpreter";
import { Sandbox, SandboxNotFoundError } from "e2b";
import { expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newCodeSandbox, newSandbox, sdk, until } from "../support/sandboxes.ts";

/** A counter whose value exists in the memory of one process only; it is asked through a signal and a file. */
const COUNTER = `python3 -u -c '
import signal, time, os
n = 0
def tell(*_):
    with open("/tmp/answer.new", "w") as f: f.write(f"{os.getpid()} {n}")
    os.rename("/tmp/answer.new", "/tmp/answer")
signal.signal(signal.SIGUSR1, tell)
while True:
    n += 1
    time.sleep(0.02)
'`;

async function askCounter(sandbox: Sandbox, pid: number): Promise<{ pid: number; count: number }> {
	const { stdout } = await sandbox.commands.run(
		`rm -f /tmp/answer; kill -USR1 ${pid}; while [ ! -e /tmp/answer ]; do sleep 0.02; done; cat /tmp/answer`,
	);
	const [answeredBy, count] = stdout.split(" ").map(Number);
	return { pid: answeredBy ?? 0, count: count ?? 0 };
}

test("the first program of every user prints 42 and 41", async () => {
	const sandbox = await newCodeSandbox();
	await sandbox.runCode("x = 41");
	const snapshot = await sandbox.createSnapshot();
	deleteAtEnd(snapshot.snapshotId);
	const child = await newCodeSandbox(snapshot.snapshotId);
	expect((await child.runCode("x + 1")).text).toBe("42");
	expect((await sandbox.runCode("x")).text).toBe("41");
});

test("memory is captured: a process goes on counting, with its pid, in the clone and in the source", async () => {
	const source = await newSandbox();
	const handle = await source.commands.run(COUNTER, { background: true, timeoutMs: 0 });
	const { stdout } = await source.commands.run("sleep 0.5; pgrep -n python3");
	const pid = Number(stdout);
	const before = await askCounter(source, pid);
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const child = await newSandbox(snapshotId);

	const inChild = await askCounter(child, pid);
	expect(inChild.pid).toBe(before.pid);
	expect(inChild.count).toBeGreaterThanOrEqual(before.count);
	const inSource = await askCounter(source, pid);
	expect(inSource.pid).toBe(before.pid);
	expect(inSource.count).toBeGreaterThan(before.count);
	expect((await child.commands.list()).map((process) => process.pid)).toContain(handle.pid);
});

test("a kernel's threads and open files go on in clones, in forks and after a pause", async () => {
	const source = await newCodeSandbox();
	await source.runCode(`
import os, threading, time
log = open("/home/user/log", "a")
log.write("of the source\\n")
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
own = os.getpid()`);
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const clone = await newCodeSandbox(snapshotId);
	const [fork] = await source.fork({ count: 1 });
	if (fork === undefined || fork instanceof Error) throw fork ?? new Error("no fork");
	killAtEnd(fork);
	await source.pause();
	await source.connect();
	for (const [index, sandbox] of [source, clone, fork].entries()) {
		// The line above is still in the kernel's buffer: only a file that stayed open can hold both.
		await sandbox.runCode(`log.write("of number ${index}\\n"); log.flush(); before = ticks; time.sleep(0.3)`);
		expect((await sandbox.runCode("(ticks > before + 3, before > 0, own == os.getpid())")).text).toBe("(True, True, True)");
		expect(await sandbox.files.read("/home/user/log")).toBe(`of the source\nof number ${index}\n`);
	}
});

test("two children and the source diverge, and the snapshot outlives the source", async () => {
	const source = await newSandbox();
	await source.files.write("/home/user/state", "captured");
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const [first, second] = await Promise.all([newSandbox(snapshotId), newSandbox(snapshotId)]);
	const all = [source, first, second];
	await Promise.all(all.map((sandbox, index) => sandbox.files.write("/home/user/state", `own ${index}`)));
	expect(await Promise.all(all.map((sandbox) => sandbox.files.read("/home/user/state")))).toEqual(["own 0", "own 1", "own 2"]);
	expect(new Set(all.map((sandbox) => sandbox.sandboxId)).size).toBe(3);

	await source.kill();
	const late = await newSandbox(snapshotId);
	expect(await late.files.read("/home/user/state")).toBe("captured");
});

test("a snapshot of a clone captures what the clone did", async () => {
	const source = await newCodeSandbox();
	await source.runCode("steps = ['source']");
	const first = deleteAtEnd((await source.createSnapshot()).snapshotId);
	const child = await newCodeSandbox(first);
	await child.runCode("steps.append('child')");
	const second = deleteAtEnd((await child.createSnapshot()).snapshotId);
	const grandchild = await newCodeSandbox(second);
	expect((await grandchild.runCode("steps")).text).toBe("['source', 'child']");
	expect((await source.runCode("steps")).text).toBe("['source']");
});

test("static and instance forms snapshot the same sandbox, which keeps its id", async () => {
	const source = await newSandbox();
	const id = source.sandboxId;
	const [one, two] = [await source.createSnapshot(), await Sandbox.createSnapshot(id, sdk())];
	deleteAtEnd(one.snapshotId);
	deleteAtEnd(two.snapshotId);
	expect(one.snapshotId).not.toBe(two.snapshotId);
	expect((await source.getInfo()).sandboxId).toBe(id);
	expect(await source.isRunning()).toBe(true);
});

test("listing pages through a sandbox's snapshots, newest first, and leaves out others", async () => {
	const [source, other] = await Promise.all([newSandbox(), newSandbox()]);
	const made: string[] = [];
	for (let index = 0; index < 3; index++) made.push(deleteAtEnd((await source.createSnapshot()).snapshotId));
	deleteAtEnd((await other.createSnapshot()).snapshotId);

	const pages: string[][] = [];
	const paginator = Sandbox.listSnapshots({ ...sdk(), sandboxId: source.sandboxId, limit: 2 });
	while (paginator.hasNext) pages.push((await paginator.nextItems()).map((snapshot) => snapshot.snapshotId));
	expect(pages.map((page) => page.length)).toEqual([2, 1]);
	expect(pages.flat()).toEqual(made.toReversed());
});

test("snapshots that stay are listed once each, while others come and go between pages", async () => {
	const source = await newSandbox();
	const take = async () => (await source.createSnapshot()).snapshotId;
	const [stays, goes, staysToo, oldest] = [await take(), await take(), await take(), await take()].toReversed();
	for (const id of [stays, staysToo, oldest]) deleteAtEnd(String(id));
	const listed: string[] = [];
	const pages = Sandbox.listSnapshots({ ...sdk(), sandboxId: source.sandboxId, limit: 1 });
	const next = async () => listed.push(...(await pages.nextItems()).map(({ snapshotId }) => snapshotId));
	await next();
	await Sandbox.deleteSnapshot(String(goes), sdk());
	deleteAtEnd(await take());
	while (pages.hasNext) await next();
	expect(listed).toEqual([stays, staysToo, oldest]);
});

test("deleting answers true, then false; a deleted snapshot starts nothing", async () => {
	const source = await newSandbox();
	const { snapshotId } = await source.createSnapshot();
	expect(await Sandbox.deleteSnapshot(snapshotId, sdk())).toBe(true);
	expect(await Sandbox.deleteSnapshot(snapshotId, sdk())).toBe(false);
	await expect(Sandbox.create(snapshotId, sdk())).rejects.toThrow("not found");
});

test("a snapshot in use cannot be deleted until its last sandbox is killed", async () => {
	const source = await newSandbox();
	const { snapshotId } = await source.createSnapshot();
	const child = await newSandbox(snapshotId);
	await expect(Sandbox.deleteSnapshot(snapshotId, sdk())).rejects.toThrow("400");
	await child.kill();
	expect(await Sandbox.deleteSnapshot(snapshotId, sdk())).toBe(true);
});

test("a named snapshot is found by its name, and taken again it moves", async () => {
	const source = await newSandbox();
	const name = `named-${source.sandboxId}`;
	await source.files.write("/home/user/version", "one");
	const first = await source.createSnapshot({ name });
	deleteAtEnd(first.snapshotId);
	expect(first.snapshotId).toMatch(new RegExp(`^[a-z0-9-]+/${name}:default$`));
	await source.files.write("/home/user/version", "two");
	const second = await source.createSnapshot({ name });
	expect(second.snapshotId).toBe(first.snapshotId);
	const child = await newSandbox(name);
	expect(await child.files.read("/home/user/version")).toBe("two");
});

test("clones have their own identity", async () => {
	const source = await newCodeSandbox();
	await source.runCode("import random, numpy\nrandom.seed(1)\nnumpy.random.seed(1)");
	await source.runCode("let held = Math.random()", { language: "js" });
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const clones = await Promise.all(["a", "b", "c"].map((who) => newCodeSandbox(snapshotId, { envs: { WHO: who } })));
	const facts = await Promise.all(
		clones.map(async (clone) => ({
			machineId: (await clone.commands.run("cat /etc/machine-id")).stdout.trim(),
			hostname: (await clone.commands.run("hostname")).stdout.trim(),
			generation: (await clone.commands.run("cat /run/offshoot/generation")).stdout.trim(),
			random: (await clone.runCode("(random.random(), numpy.random.random())")).text,
			mathRandom: (await clone.runCode("Math.random()", { language: "js" })).text,
			who: (await clone.runCode("import os; os.environ['WHO']")).text,
			token: (clone as unknown as { envdAccessToken?: string }).envdAccessToken,
		})),
	);
	for (const key of ["machineId", "hostname", "random", "mathRandom", "token"] as const) {
		expect(new Set(facts.map((fact) => fact[key])).size, `${key}: ${facts.map((fact) => fact[key])}`).toBe(clones.length);
	}
	expect(facts.map((fact) => fact.who)).toEqual(["a", "b", "c"]);
	expect(facts.map((fact) => fact.machineId.length)).toEqual([32, 32, 32]);
	expect(new Set(facts.map((fact) => fact.generation)).size).toBe(1);
	const parent = (await source.commands.run("cat /run/offshoot/generation")).stdout.trim();
	expect(Number(facts[0]?.generation)).toBe(Number(parent) + 1);
});

test("clones draw numbers of their own even when their interpreter is slow to take its seed", async () => {
	const source = await newCodeSandbox();
	await source.runCode("import random; random.seed(1)");
	await source.runCode("held = Math.random()", { language: "js" });
	const asRoot = async (sandbox: Sandbox, command: string) =>
		(await sandbox.commands.run(command, { user: "root" })).stdout.trim();
	const interpreter = await asRoot(source, "ss -Htlnp sport = :49999 | grep -o 'pid=[0-9]*' | cut -d= -f2");
	await asRoot(source, `kill -STOP ${interpreter}`);
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const draw = async (clone: CodeSandbox): Promise<string[]> => {
		const drawn = [clone.runCode("random.random()"), clone.runCode("Math.random()", { language: "js" })];
		// By then the cells are at the interpreter's door.
		await asRoot(clone, `sleep 0.5; kill -CONT ${interpreter}`);
		return (await Promise.all(drawn)).map(({ text }) => String(text));
	};
	const clones = await Promise.all([newCodeSandbox(snapshotId), newCodeSandbox(snapshotId)]);
	const numbers = (await Promise.all(clones.map(draw))).flat();
	expect(
		numbers.map(Number).every((number) => number > 0 && number < 1),
		numbers.join(),
	).toBe(true);
	expect(new Set(numbers).size).toBe(4);
});

test("the token of one sandbox opens no other", async () => {
	const source = await newCodeSandbox();
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const child = await newCodeSandbox(snapshotId);
	const tokenOf = (sandbox: CodeSandbox) => (sandbox as unknown as { envdAccessToken: string }).envdAccessToken;
	const call = (sandbox: CodeSandbox, token: string) =>
		fetch(`${sdk().sandboxUrl}/envs`, {
			headers: { "E2b-Sandbox-Id": sandbox.sandboxId, "E2b-Sandbox-Port": "49983", "X-Access-Token": token },
		}).then((response) => response.status);
	expect(await call(child, tokenOf(child))).toBe(200);
	expect(await call(child, tokenOf(source))).toBe(401);
	expect(await call(source, tokenOf(child))).toBe(401);
	expect(await call(source, tokenOf(source))).toBe(200);
});

test("a clone keeps the source's environment and the new request wins", async () => {
	const source = await newSandbox("base", { envs: { KEPT: "source", CHANGED: "source" } });
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const child = await newSandbox(snapshotId, { envs: { CHANGED: "child" } });
	const print = (sandbox: Sandbox) =>
		sandbox.commands.run('echo "$KEPT $CHANGED $E2B_SANDBOX_ID"').then(({ stdout }) => stdout.trim());
	expect(await print(child)).toBe(`source child ${child.sandboxId}`);
	expect(await print(source)).toBe(`source source ${source.sandboxId}`);
});

test("hooks on restore have run before the first request reaches the clone, and one that failed is in its log", async () => {
	const source = await newSandbox();
	const hook = '#!/bin/sh\necho "$(cat /run/offshoot/generation) $(hostname)" > /home/user/restored\n';
	await source.files.write("/etc/offshoot/on-restore.d/10-note", hook, { user: "root" });
	await source.files.write("/etc/offshoot/on-restore.d/20-fail", "#!/bin/sh\nexit 7\n", { user: "root" });
	await source.commands.run("chmod +x /etc/offshoot/on-restore.d/*", { user: "root" });
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const child = await newSandbox(snapshotId);
	expect(await child.files.read("/home/user/restored")).toContain(child.sandboxId);
	// What the guest's agent has to say is in the sandbox's log, under its name.
	const path = `/v2/sandboxes/${child.sandboxId}/logs?search=20-fail`;
	await until("the agent's word", async () => (await rest("GET", path)).body.logs.length > 0);
	expect((await rest("GET", path)).body.logs).toMatchObject([{ fields: { logger: "agent" } }]);
});

test("fork makes five siblings that all go on from the same instant", async () => {
	const source = await newCodeSandbox();
	await source.runCode("x = 1");
	const results = await source.fork({ count: 5 });
	const forks = results.filter((result): result is CodeSandbox => !(result instanceof Error));
	expect(results.filter((result) => result instanceof Error)).toEqual([]);
	try {
		expect(new Set(forks.map((fork) => fork.sandboxId)).size).toBe(5);
		const texts = await Promise.all(forks.map(async (fork, index) => (await fork.runCode(`x += ${index}; x`)).text));
		expect(texts).toEqual(["1", "2", "3", "4", "5"]);
		expect((await source.runCode("x")).text).toBe("1");
	} finally {
		await Promise.all(forks.map((fork) => fork.kill()));
	}
});

test("forks are all of one instant: what a process made of chance, they share up to the same line", async () => {
	const source = await newSandbox();
	const diary = "import os, time\nwhile True: print(os.urandom(8).hex()); time.sleep(0.02)";
	await source.commands.run(`python3 -u -c '${diary}' > /dev/shm/diary`, { background: true, timeoutMs: 0 });
	await until("some lines", async () => Number((await source.commands.run("wc -l < /dev/shm/diary || echo 0")).stdout) > 20);
	const forks = (await source.fork({ count: 3 })).map((fork) => {
		if (fork instanceof Error) throw fork;
		return killAtEnd(fork);
	});
	const diaries = await Promise.all([source, ...forks].map((sandbox) => diaryAfter(sandbox)));
	const shared = diaries.flatMap((one, index) => diaries.slice(index + 1).map((other) => sharedLines(one, other)));
	expect(shared[0]).toBeGreaterThan(20);
	expect(new Set(shared).size, shared.join()).toBe(1);
});

/** The lines so far, when enough came after the sandbox's first to set it apart from others. */
async function diaryAfter(sandbox: Sandbox): Promise<string[]> {
	const read = async () => (await sandbox.files.read("/dev/shm/diary")).split("\n");
	const { length } = await read();
	await until("more lines", async () => (await read()).length > length + 3);
	return read();
}

function sharedLines(one: readonly string[], other: readonly string[]): number {
	return one.findIndex((line, index) => line !== other[index]);
}

test("snapshots of a killed and of a paused sandbox are refused as not found", async () => {
	const killed = await newSandbox();
	await killed.kill();
	await expect(Sandbox.createSnapshot(killed.sandboxId, sdk())).rejects.toThrow(SandboxNotFoundError);
	const paused = await newSandbox();
	await paused.pause();
	await expect(Sandbox.createSnapshot(paused.sandboxId, sdk())).rejects.toThrow(SandboxNotFoundError);
	await until("paused state", async () => (await Sandbox.getInfo(paused.sandboxId, sdk())).state === "paused");
});

test("a process outlives the deadline of the request that started it in a clone made later: nobody waits for it there", async () => {
	const source = await newSandbox();
	const { pid } = await source.commands.run("sleep 100000", { background: true, timeoutMs: 3500 });
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	await new Promise((resolve) => setTimeout(resolve, 4000));
	const clone = await newSandbox(snapshotId);
	await new Promise((resolve) => setTimeout(resolve, 1500));
	expect((await clone.commands.list()).map((process) => process.pid)).toContain(pid);
});
