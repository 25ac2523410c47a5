/** Every form of `files` of the JavaScript client, in one sandbox. */
import { createHash, randomBytes } from "node:crypto";
import {
	AuthenticationError,
	FileNotFoundError,
	type FilesystemEvent,
	FileType,
	InvalidArgumentError,
	NotEnoughSpaceError,
	Sandbox,
} from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deleteAtEnd, sdk, until } from "../support/sandboxes.ts";

let sandbox: Sandbox;

beforeAll(async () => {
	sandbox = await Sandbox.create("base", sdk());
});

afterAll(() => sandbox?.kill());

const run = async (command: string, user?: string) =>
	(await sandbox.commands.run(command, user === undefined ? {} : { user })).stdout;

describe("writing and reading", () => {
	const bytes = new Uint8Array(randomBytes(300_001));

	test.each([
		["text", "grüße\n", new TextEncoder().encode("grüße\n")],
		["an ArrayBuffer", bytes.buffer, bytes],
		["a Blob", new Blob([bytes]), bytes],
		["nothing", "", new Uint8Array()],
	])("%s, with and without a form, compressed and not", async (_name, data, expected) => {
		for (const options of [{}, { useOctetStream: true }, { gzip: true }]) {
			const written = await sandbox.files.write("forms/data", data, options);
			expect(written).toEqual({ name: "data", path: "/home/user/forms/data", type: FileType.FILE });
			expect(await sandbox.files.read("forms/data", { format: "bytes" })).toEqual(expected);
		}
	});

	test("a stream of 20 MB, in and out, is the same", async () => {
		const piece = randomBytes(1_000_000);
		const stream = new ReadableStream({
			start(controller) {
				for (let count = 0; count < 20; count++) controller.enqueue(new Uint8Array(piece));
				controller.close();
			},
		});
		await sandbox.files.write("stream", stream);
		const [digests, reading] = [[createHash("md5"), createHash("md5")], await sandbox.files.read("stream", { format: "stream" })];
		for (let count = 0; count < 20; count++) digests[0]?.update(piece);
		for await (const chunk of reading) digests[1]?.update(chunk);
		const [expected, found] = digests.map((digest) => digest.digest("hex"));
		expect(found).toBe(expected);
		expect((await run("md5sum < stream")).slice(0, 32)).toBe(expected);
	});

	test("as text, bytes, Blob and stream, compressed and not", async () => {
		await sandbox.files.write("text", "žluťoučký");
		for (const gzip of [false, true]) {
			expect(await sandbox.files.read("text", { gzip })).toBe("žluťoučký");
			expect(new TextDecoder().decode(await sandbox.files.read("text", { gzip, format: "bytes" }))).toBe("žluťoučký");
			expect(await (await sandbox.files.read("text", { gzip, format: "blob" })).text()).toBe("žluťoučký");
			expect(await new Response(await sandbox.files.read("text", { gzip, format: "stream" })).text()).toBe("žluťoučký");
		}
	});

	test("several files at once, each the acting user's, parents included", async () => {
		const names = ["many/a b.txt", "many/é/c.txt"];
		const written = await sandbox.files.writeFiles(names.map((name) => ({ path: name, data: name })));
		expect(written.map(({ path }) => path)).toEqual(names.map((name) => `/home/user/${name}`));
		expect(await run("stat -c '%U %a' many many/é 'many/é/c.txt'")).toBe("user 755\nuser 755\nuser 644\n");
		await sandbox.files.write("/root/note", "root's", { user: "root" });
		expect(await run("stat -c %U /root/note; cat /root/note", "root")).toBe("root\nroot's");
		await sandbox.files.write("/root/note", "changed hands");
		expect(await run("stat -c %U /root/note", "root")).toBe("user\n");
	});

	test("a shorter text over a longer one leaves nothing of it", async () => {
		await sandbox.files.write("over", "long text");
		await sandbox.files.write("over", "short");
		expect(await sandbox.files.read("over")).toBe("short");
	});

	test("what only seems empty is read to its end", async () => {
		expect(await sandbox.files.read("/proc/self/status")).toContain("VmRSS");
	});

	test("the same path twice, an unknown user and metadata beyond their limits are refused", async () => {
		const twice = ["twice", "./twice"].map((path) => ({ path, data: "x" }));
		await expect(sandbox.files.writeFiles(twice)).rejects.toThrow(InvalidArgumentError);
		await expect(sandbox.files.read("text", { user: "nosuch" })).rejects.toThrow(AuthenticationError);
		await expect(sandbox.files.write("text", "x", { user: "nosuch" })).rejects.toThrow(AuthenticationError);
		const metadata = { key: "v".repeat(4096) };
		await expect(sandbox.files.write("limits", "x", { metadata })).rejects.toThrow(InvalidArgumentError);
		expect(await sandbox.files.exists("limits")).toBe(false);
	});

	test("what is missing, a directory and a full disk are told as such", async () => {
		await expect(sandbox.files.read("missing")).rejects.toThrow(FileNotFoundError);
		await expect(sandbox.files.read("/tmp")).rejects.toThrow(InvalidArgumentError);
		await expect(sandbox.files.write("/tmp", "x")).rejects.toThrow(InvalidArgumentError);
		await run("mkdir /tmp/small && mount -t tmpfs -o size=1m tmpfs /tmp/small", "root");
		await expect(sandbox.files.write("/tmp/small/file", new Blob([new Uint8Array(3_000_000)]))).rejects.toThrow(
			NotEnoughSpaceError,
		);
	});
});

describe("metadata", () => {
	test("goes with the file, is told by info and list, and is replaced as a whole", async () => {
		const written = await sandbox.files.write("meta/file", "x", { metadata: { Author: "me", kind: "note" } });
		expect(written.metadata).toEqual({ author: "me", kind: "note" });
		expect((await sandbox.files.list("meta")).map(({ metadata }) => metadata)).toEqual([{ author: "me", kind: "note" }]);
		await sandbox.files.write("meta/file", "x", { metadata: { kind: "other" }, useOctetStream: true });
		expect((await sandbox.files.getInfo("meta/file")).metadata).toEqual({ kind: "other" });
		await sandbox.files.write("meta/file", "x");
		expect((await sandbox.files.getInfo("meta/file")).metadata).toBeUndefined();
	});

	test("set by a program in the sandbox is told, that of other namespaces is not", async () => {
		await sandbox.files.write("meta/attributes", "x");
		await run("python3 -c \"import os; [os.setxattr('meta/attributes', n, b'me') for n in ('user.e2b.author', 'user.other')]\"");
		expect((await sandbox.files.getInfo("meta/attributes")).metadata).toEqual({ author: "me" });
	});
});

describe("entries", () => {
	test("tell name, type, size, mode, owner, time and the target of a link", async () => {
		await run("mkdir -p entries/dir; echo -n 12345 > entries/file; chmod 640 entries/file; ln -s dir entries/link");
		const info = await sandbox.files.getInfo("entries/file");
		expect(info).toMatchObject({
			name: "file",
			path: "/home/user/entries/file",
			type: FileType.FILE,
			size: 5,
			mode: 0o640,
			permissions: "-rw-r-----",
			owner: "user",
			group: "user",
		});
		expect(info.modifiedTime?.getTime()).toBe(Math.floor(Number(await run("date -r entries/file +%s%3N"))));
		expect(await sandbox.files.getInfo("entries/link")).toMatchObject({
			type: FileType.DIR,
			symlinkTarget: "/home/user/entries/dir",
			permissions: "Lrwxrwxrwx",
		});
		await run("ln -s nowhere entries/broken; touch entries/dir/below");
		expect(await sandbox.files.getInfo("entries/broken")).toMatchObject({ name: "broken", symlinkTarget: undefined });
		const below = await sandbox.files.list("entries/link");
		expect(below.map(({ path }) => path)).toEqual(["/home/user/entries/link/below"]);
		expect(await sandbox.files.exists("entries/file")).toBe(true);
		expect(await sandbox.files.exists("entries/none")).toBe(false);
		await expect(sandbox.files.getInfo("entries/none")).rejects.toThrow(FileNotFoundError);
	});

	test("are listed as deep as asked, in order", async () => {
		await run("mkdir -p list/b/deep list/a; touch list/b/deep/file list/B");
		const list = async (depth?: number) =>
			(await sandbox.files.list("list", depth === undefined ? {} : { depth })).map(({ path }) =>
				path.slice("/home/user/list/".length),
			);
		expect(await list()).toEqual(["B", "a", "b"]);
		expect(await list(3)).toEqual(["B", "a", "b", "b/deep", "b/deep/file"]);
		await expect(list(0)).rejects.toThrow(InvalidArgumentError);
		await expect(sandbox.files.list("list/B")).rejects.toThrow(InvalidArgumentError);
		await expect(sandbox.files.list("none")).rejects.toThrow(FileNotFoundError);
	});

	test("are made, renamed and removed", async () => {
		expect(await sandbox.files.makeDir("made/below")).toBe(true);
		expect(await sandbox.files.makeDir("made/below")).toBe(false);
		expect(await run("stat -c '%U %a' made made/below")).toBe("user 755\nuser 755\n");
		await sandbox.files.write("made/file", "x");
		await expect(sandbox.files.makeDir("made/file")).rejects.toThrow(InvalidArgumentError);
		const moved = await sandbox.files.rename("made/file", "elsewhere/new/name");
		expect(moved).toMatchObject({ name: "name", path: "/home/user/elsewhere/new/name", size: 1 });
		await expect(sandbox.files.rename("made/file", "x")).rejects.toThrow(FileNotFoundError);
		await expect(sandbox.files.rename("elsewhere/new/name", "/dev/shm/name")).rejects.toThrow("[internal] error renaming");
		await sandbox.files.remove("elsewhere");
		await sandbox.files.remove("elsewhere");
		expect(await sandbox.files.exists("elsewhere")).toBe(false);
	});

	test("are found by ~, below the home of who acts, and nowhere else for another user's ~", async () => {
		await sandbox.files.write("~/tilde", "mine");
		expect(await sandbox.files.read("/home/user/tilde")).toBe("mine");
		await sandbox.files.write("tilde", "root's", { user: "root" });
		expect(await sandbox.files.read("/root/tilde", { user: "root" })).toBe("root's");
		await expect(sandbox.files.getInfo("~root/tilde")).rejects.toThrow(InvalidArgumentError);
	});
});

describe("watching", () => {
	test("tells of every kind of change, and stops when told", async () => {
		await run("mkdir watched");
		const events: FilesystemEvent[] = [];
		const told = () => events.map(({ type, name }) => `${type} ${name}`);
		const handle = await sandbox.files.watchDir("watched", (event) => void events.push(event), { timeoutMs: 0 });
		await run("cd watched; echo 1 > a; mv a b; chmod 600 b; rm b; mkdir end");
		await until("the last event", async () => told().includes("create end"));
		expect(told()).toEqual(["create a", "write a", "rename a", "create b", "chmod b", "remove b", "create end"]);
		await handle.stop();
		await run("touch watched/after");
		expect(told().at(-1)).toBe("create end");
	});

	test("recursively, follows directories made later, with entries where there is something to tell of", async () => {
		await run("mkdir tree");
		const events: FilesystemEvent[] = [];
		const options = { recursive: true, includeEntry: true, allowNetworkMounts: true };
		const handle = await sandbox.files.watchDir("tree", (event) => void events.push(event), options);
		const found = (type: string, name: string) => events.find((event) => event.type === type && event.name === name);
		await run("mkdir tree/new");
		await until("the directory", async () => found("create", "new") !== undefined);
		await run("echo x > tree/new/file");
		await until("the file in it", async () => found("write", "new/file") !== undefined);
		expect(found("write", "new/file")?.entry).toMatchObject({ path: "/home/user/tree/new/file", type: FileType.FILE });
		await run("mkdir -p tree/at/once; touch tree/at/once/file");
		await until("what was there before its directory was watched", async () => found("create", "at/once/file") !== undefined);
		await run("rm tree/new/file");
		await until("its end", async () => found("remove", "new/file") !== undefined);
		expect(found("remove", "new/file")?.entry).toBeUndefined();
		await handle.stop();
	});

	test("goes on through a snapshot of its sandbox", async () => {
		await run("mkdir snapped");
		const names: string[] = [];
		const handle = await sandbox.files.watchDir("snapped", ({ name }) => void names.push(name), { timeoutMs: 0 });
		await run("mkdir snapped/before");
		deleteAtEnd((await sandbox.createSnapshot()).snapshotId);
		await run("mkdir snapped/after");
		await until("an event after the snapshot", async () => names.includes("after"));
		expect(names).toEqual(["before", "after"]);
		await handle.stop();
	});

	test("of a file or of what is missing is refused", async () => {
		await sandbox.files.write("no-directory", "x");
		await expect(sandbox.files.watchDir("no-directory", () => undefined)).rejects.toThrow(InvalidArgumentError);
		await expect(sandbox.files.watchDir("none", () => undefined)).rejects.toThrow(FileNotFoundError);
	});
});

describe("signed URLs", () => {
	const upload = (url: string, name: string) => {
		const form = new FormData();
		form.append("file", new Blob(["signed"]), name);
		return fetch(url, { method: "POST", body: form });
	};

	test("stand for the token: up and down, with and without a path, for a user", async () => {
		expect((await upload(await sandbox.uploadUrl("signed/given"), "ignored")).status).toBe(200);
		expect(await (await upload(await sandbox.uploadUrl(), "signed/named")).json()).toEqual([
			{ name: "named", path: "/home/user/signed/named", type: "file" },
		]);
		expect((await upload(await sandbox.uploadUrl("file", { user: "root" }), "x")).status).toBe(200);
		expect(await run("cat /root/file", "root")).toBe("signed");
		for (const path of ["signed/given", "signed/named"]) {
			const url = await sandbox.downloadUrl(path, { useSignatureExpiration: 60_000 });
			expect(await (await fetch(url)).text()).toBe("signed");
		}
	});

	test("tell type, name, length and time, and give ranges", async () => {
		await sandbox.files.write("signed/a b", "\x7f0123456789");
		const url = await sandbox.downloadUrl("signed/a b");
		const whole = await fetch(url);
		expect(await whole.text()).toBe("\x7f0123456789");
		expect(Object.fromEntries(whole.headers)).toMatchObject({
			"content-type": "text/plain; charset=utf-8",
			"content-disposition": 'inline; filename="a b"',
			"content-length": "11",
			vary: "Accept-Encoding",
		});
		const ask = async (headers: Record<string, string>) => {
			const answer = await fetch(url, { headers });
			return [answer.status, answer.headers.get("content-range"), await answer.text()];
		};
		expect(await ask({ range: "bytes=1-3" })).toEqual([206, "bytes 1-3/11", "012"]);
		expect(await ask({ range: "bytes=20-" })).toEqual([416, "bytes */11", expect.stringContaining("failed to overlap")]);
		expect(await ask({ "if-modified-since": whole.headers.get("last-modified") ?? "" })).toEqual([304, null, ""]);
		const several = await fetch(url, { headers: { range: "bytes=0-1,-2" } });
		const body = /^--(\w+)\r\n.*0-1\/11\r\n.*\r\n\r\n\x7f0\r\n--\1\r\n.*9-10\/11\r\n.*\r\n\r\n89\r\n--\1--\r\n$/;
		expect([several.status, await several.text()]).toEqual([206, expect.stringMatching(body)]);
		expect((await fetch(url, { headers: { "accept-encoding": "br, identity;q=0" } })).status).toBe(406);
	});

	test("end when they expire, and open nothing else", async () => {
		await sandbox.files.write("signed/secret", "x");
		const expired = await fetch(await sandbox.downloadUrl("signed/secret", { useSignatureExpiration: -10_000 }));
		expect([expired.status, await expired.json()]).toEqual([401, { code: 401, message: "signature is already expired" }]);
		const forWriting = new URL(await sandbox.uploadUrl("signed/secret"));
		expect((await fetch(forWriting)).ok).toBe(false);
	});
});
