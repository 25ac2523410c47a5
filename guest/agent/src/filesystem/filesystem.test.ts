import { execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FileNotFoundError, type FilesystemEvent, InvalidArgumentError } from "e2b";
import { beforeEach, describe, expect, test } from "vitest";
import { type FileTests, fileTests } from "../../testing/files.ts";
import { json, stream, unary } from "../../testing/rpc.ts";

const tests = fileTests();
let agent: FileTests["agent"];
let sandbox: FileTests["sandbox"];
let at: FileTests["at"];
beforeEach(() => {
	({ agent, sandbox, at } = tests);
});

const call = async (method: string, body: unknown) => {
	const answer = await unary(agent, `filesystem.Filesystem/${method}`, body);
	return { status: answer.status, body: await json(answer) };
};

describe("stat", () => {
	test("tells all of a file, in the forms of the protocol", async () => {
		await writeFile(join(at, "f"), "12345");
		await chmod(join(at, "f"), 0o640);
		const { mtimeMs } = await stat(join(at, "f"), { bigint: true });
		const { body } = await call("Stat", { path: join(at, "f") });
		expect(body.entry).toMatchObject({
			name: "f",
			type: "FILE_TYPE_FILE",
			path: join(at, "f"),
			size: "5",
			mode: 0o640,
			permissions: "-rw-r-----",
			owner: "root",
			group: "root",
		});
		expect(new Date(body.entry.modifiedTime).getTime()).toBe(Number(mtimeMs));
	});

	test("a link is told with its target and the target's type; a broken one without", async () => {
		await mkdir(join(at, "dir"));
		await symlink("dir", join(at, "link"));
		await symlink("nowhere", join(at, "broken"));
		const link = (await call("Stat", { path: join(at, "link") })).body.entry;
		expect(link).toMatchObject({ type: "FILE_TYPE_DIRECTORY", symlinkTarget: join(at, "dir"), permissions: "Lrwxrwxrwx" });
		const broken = (await call("Stat", { path: join(at, "broken") })).body.entry;
		expect(broken.type).toBe("FILE_TYPE_SYMLINK");
		expect(broken.symlinkTarget).toBeUndefined();
	});

	test.each([
		["/tmp", "dtrwxrwxrwx"],
		["/dev/null", "Dcrw-rw-rw-"],
	])("the permissions of %s are %s", async (path, permissions) => {
		expect((await call("Stat", { path })).body.entry.permissions).toBe(permissions);
	});

	test("attributes set by other programs are shown, those of other names are not", async () => {
		await writeFile(join(at, "f"), "");
		const script = "import os,sys\nfor n in ('user.e2b.author','user.other'): os.setxattr(sys.argv[1],n,b'me')";
		execFileSync("python3", ["-c", script, join(at, "f")]);
		expect((await sandbox.files.getInfo(join(at, "f"))).metadata).toEqual({ author: "me" });
	});

	test("what is missing is not found", async () => {
		expect(await sandbox.files.exists(join(at, "none"))).toBe(false);
		expect(await call("Stat", { path: join(at, "none") })).toEqual({
			status: 404,
			body: { code: "not_found", message: `path '${join(at, "none")}' does not exist` },
		});
	});
});

describe("list", () => {
	test("goes as deep as asked, directories before what is in them, in the order of bytes", async () => {
		for (const path of ["b/y", "b/x", "B", "a/1/2/3", "ä"]) await mkdir(join(at, path), { recursive: true });
		await symlink("a", join(at, "c"));
		const list = async (depth: number) => (await sandbox.files.list(at, { depth })).map(({ path }) => path.slice(at.length + 1));
		expect(await list(1)).toEqual(["B", "a", "b", "c", "ä"]);
		expect(await list(2)).toEqual(["B", "a", "a/1", "b", "b/x", "b/y", "c", "ä"]);
		expect(await list(9)).toContain("a/1/2/3");
	});

	test("a link as root is listed under its own name", async () => {
		await mkdir(join(at, "real/inner"), { recursive: true });
		await symlink("real", join(at, "link"));
		expect((await sandbox.files.list(join(at, "link"))).map(({ path }) => path)).toEqual([join(at, "link/inner")]);
	});

	test("a file is refused, what is missing not found", async () => {
		await writeFile(join(at, "f"), "");
		await expect(sandbox.files.list(join(at, "f"))).rejects.toThrow(InvalidArgumentError);
		await expect(sandbox.files.list(join(at, "none"))).rejects.toThrow(FileNotFoundError);
	});
});

describe("changes", () => {
	test("directories are made with their parents, once", async () => {
		await chmod(at, 0o777);
		expect(await sandbox.files.makeDir(join(at, "a/b"), { user: "nobody" })).toBe(true);
		expect(await sandbox.files.makeDir(join(at, "a/b"))).toBe(false);
		expect((await stat(join(at, "a"))).uid).toBe(65534);
		await writeFile(join(at, "f"), "");
		expect((await call("MakeDir", { path: join(at, "f") })).status).toBe(400);
		expect((await call("MakeDir", { path: join(at, "f/below") })).status).toBe(400);
	});

	test("a link that leads nowhere is no directory, nor is one made below it", async () => {
		await symlink("nowhere", join(at, "link"));
		for (const path of ["link", "link/below"]) {
			expect(await call("MakeDir", { path: join(at, path) })).toMatchObject({
				status: 400,
				body: { code: "invalid_argument", message: expect.stringContaining(join(at, "link")) },
			});
		}
		expect(await readdir(at)).toEqual(["link"]);
	});

	test("what would be below a file is missing", async () => {
		await writeFile(join(at, "f"), "kept");
		const path = join(at, "f/below");
		const calls: [string, object][] = [
			["Stat", { path }],
			["ListDir", { path }],
			["CreateWatcher", { path }],
			["Move", { source: path, destination: join(at, "g") }],
		];
		const codes = calls.map(async ([method, body]) => (await call(method, body)).body.code);
		expect(await Promise.all(codes)).toEqual(calls.map(() => "not_found"));
		const watch = await stream(agent, "filesystem.Filesystem/WatchDir", { path }).next();
		expect(watch.value?.body.error.code).toBe("not_found");
		expect(await sandbox.files.exists(path)).toBe(false);
		await sandbox.files.remove(path);
		expect(await readdir(at)).toEqual(["f"]);
	});

	test("a move makes the parents of its destination and tells what is there", async () => {
		await writeFile(join(at, "f"), "x");
		const moved = await sandbox.files.rename(join(at, "f"), join(at, "new/g"));
		expect(moved).toMatchObject({ name: "g", path: join(at, "new/g") });
		await expect(sandbox.files.rename(join(at, "f"), join(at, "h"))).rejects.toThrow(FileNotFoundError);
	});

	test("a move to another file system is refused as internal, and nothing is lost", async () => {
		await writeFile(join(at, "f"), "x");
		await mkdir(join(at, "other"));
		execFileSync("mount", ["-t", "tmpfs", "tmpfs", join(at, "other")]);
		try {
			const { status, body } = await call("Move", { source: join(at, "f"), destination: join(at, "other/f") });
			expect([status, body]).toMatchObject([
				500,
				{ code: "internal", message: expect.stringMatching(/^error renaming: .*cross-device/) },
			]);
			expect(await readdir(at)).toEqual(["f", "other"]);
		} finally {
			execFileSync("umount", [join(at, "other")]);
		}
	});

	test("removing takes all below, and nothing through links", async () => {
		await mkdir(join(at, "dir/sub"), { recursive: true });
		await writeFile(join(at, "kept"), "");
		await symlink("../kept", join(at, "dir/link"));
		await sandbox.files.remove(join(at, "dir"));
		await sandbox.files.remove(join(at, "dir"));
		expect(await readdir(at)).toEqual(["kept"]);
	});
});

describe("watch", () => {
	async function watching(work: () => Promise<void>, last: string, options = {}): Promise<FilesystemEvent[]> {
		const events: FilesystemEvent[] = [];
		const handle = await sandbox.files.watchDir(at, (event) => void events.push(event), options);
		await work();
		await expect.poll(() => events.some(({ name }) => name === last), { timeout: 5000 }).toBe(true);
		await handle.stop();
		return events;
	}

	const told = (events: readonly FilesystemEvent[]) => events.map(({ type, name }) => `${type} ${name}`);

	test("tells what happens to files, in order", async () => {
		const events = await watching(async () => {
			await sandbox.commands.run("echo 1 > a; mv a b; chmod 600 b; rm b; mkdir end", { cwd: at });
		}, "end");
		expect(told(events)).toEqual(["create a", "write a", "rename a", "create b", "chmod b", "remove b", "create end"]);
	});

	test("not recursive: nothing of what is below", async () => {
		await mkdir(join(at, "sub"));
		const events = await watching(async () => {
			await sandbox.commands.run("echo 1 > sub/f; mkdir end", { cwd: at });
		}, "end");
		expect(told(events)).toEqual(["create end"]);
	});

	test("recursive: directories made later are watched once they were told of", async () => {
		const events: FilesystemEvent[] = [];
		const handle = await sandbox.files.watchDir(at, (event) => void events.push(event), { recursive: true });
		await mkdir(join(at, "new"));
		await expect.poll(() => told(events)).toContain("create new");
		await writeFile(join(at, "new/file"), "x");
		await expect.poll(() => told(events)).toContain("write new/file");
		await handle.stop();
	});

	test("recursive: what was in a tree before it was watched is told as created, once", async () => {
		const events = await watching(
			async () => {
				await sandbox.commands.run("mkdir -p x/y/z; echo > x/y/z/f; mkdir end", { cwd: at });
			},
			"end",
			{ recursive: true },
		);
		const created = told(events).filter((each) => each.startsWith("create"));
		for (const name of ["x", "x/y", "x/y/z", "x/y/z/f"]) {
			expect(created.filter((each) => each === `create ${name}`)).toHaveLength(1);
		}
	});

	test("recursive: a directory keeps being watched under its new name, and not when it has left", async () => {
		await mkdir(join(at, "old/inner"), { recursive: true });
		const elsewhere = `${at}-elsewhere`;
		await mkdir(elsewhere);
		const events: FilesystemEvent[] = [];
		const handle = await sandbox.files.watchDir(at, (event) => void events.push(event), { recursive: true });
		await sandbox.commands.run("mv old new", { cwd: at });
		await expect.poll(() => told(events)).toContain("create new");
		await writeFile(join(at, "new/inner/f"), "x");
		await expect.poll(() => told(events)).toContain("write new/inner/f");
		await sandbox.commands.run(`mv new ${elsewhere}/`, { cwd: at });
		await expect.poll(() => told(events)).toContain("rename new");
		await new Promise((resolve) => setTimeout(resolve, 400));
		events.length = 0;
		await writeFile(join(elsewhere, "new/inner/f"), "y");
		await mkdir(join(at, "end"));
		await expect.poll(() => told(events)).toContain("create end");
		expect(told(events)).toEqual(["create end"]);
		await handle.stop();
		await rm(elsewhere, { recursive: true });
	});

	test("recursive: a directory that has left is let go also when another takes its name at once, which is watched", async () => {
		await mkdir(join(at, "dist/same"), { recursive: true });
		const elsewhere = `${at}-elsewhere`;
		await mkdir(elsewhere);
		const events: FilesystemEvent[] = [];
		const handle = await sandbox.files.watchDir(at, (event) => void events.push(event), { recursive: true });
		await sandbox.commands.run(`mv dist ${elsewhere}/ && mkdir -p dist/same`, { cwd: at });
		await expect.poll(() => told(events)).toContain("create dist/same");
		await new Promise((resolve) => setTimeout(resolve, 400));
		events.length = 0;
		for (const path of ["dist/outside", "dist/same/outside"]) await writeFile(join(elsewhere, path), "");
		for (const path of ["dist/inside", "dist/same/inside"]) await writeFile(join(at, path), "");
		await expect.poll(() => told(events)).toContain("create dist/same/inside");
		expect(told(events)).toEqual(["create dist/inside", "create dist/same/inside"]);
		await handle.stop();
		await rm(elsewhere, { recursive: true });
	});

	test("entries come along when asked for", async () => {
		const messages = stream(agent, "filesystem.Filesystem/WatchDir", { path: at, includeEntry: true });
		expect((await messages.next()).value?.body).toEqual({ start: {} });
		await writeFile(join(at, "f"), "12");
		const event = (await messages.next()).value?.body.filesystem;
		expect(event).toMatchObject({ name: "f", type: "EVENT_TYPE_CREATE", entry: { path: join(at, "f"), owner: "root" } });
		await messages.return(undefined);
	});

	test("a file is refused, what is missing not found, both in the end of the stream", async () => {
		await writeFile(join(at, "f"), "");
		const codes = ["f", "none"].map(async (name) => {
			const first = await stream(agent, "filesystem.Filesystem/WatchDir", { path: join(at, name) }).next();
			return [first.value?.flags, first.value?.body.error.code];
		});
		expect(await Promise.all(codes)).toEqual([
			[2, "invalid_argument"],
			[2, "not_found"],
		]);
	});

	test("50 watchers of one directory each see the event, and leave nothing open", async () => {
		const descriptors = async () => (await readdir(`/proc/${agent.daemonPid}/fd`)).length;
		const before = await descriptors();
		const messages = Array.from({ length: 50 }, () => stream(agent, "filesystem.Filesystem/WatchDir", { path: at }));
		await Promise.all(messages.map((each) => each.next()));
		await writeFile(join(at, "f"), "");
		const events = await Promise.all(messages.map((each) => each.next()));
		expect(events.every(({ value }) => value?.body.filesystem.name === "f")).toBe(true);
		await Promise.all(messages.map((each) => each.return(undefined)));
		// Keep-alive connections of the test's own client may stay; watchers may not.
		await expect.poll(async () => (await descriptors()) - before, { timeout: 10_000 }).toBeLessThanOrEqual(60);
	});
});

describe("polled watch", () => {
	test("collects until it is asked, and ends when it is removed", async () => {
		const { watcherId } = (await call("CreateWatcher", { path: at })).body;
		await writeFile(join(at, "f"), "x");
		const names: string[] = [];
		await expect
			.poll(async () => {
				const { events = [] } = (await call("GetWatcherEvents", { watcherId })).body;
				names.push(...events.map((event: { type: string }) => event.type));
				return names;
			})
			.toEqual(["EVENT_TYPE_CREATE", "EVENT_TYPE_WRITE"]);
		expect((await call("RemoveWatcher", { watcherId })).status).toBe(200);
		for (const method of ["GetWatcherEvents", "RemoveWatcher"]) {
			const message = `watcher with id ${watcherId} not found`;
			expect(await call(method, { watcherId })).toEqual({ status: 404, body: { code: "not_found", message } });
		}
	});
});
