import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmod, link, readdir, readFile, readlink, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { gunzipSync, gzipSync } from "node:zlib";
import { FileNotFoundError } from "e2b";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { TestAgent } from "../../testing/agent.ts";
import { type FileTests, fileTests } from "../../testing/files.ts";
import { type Headers, json } from "../../testing/rpc.ts";
import { signature } from "../auth.ts";

const tests = fileTests();
let agent: FileTests["agent"];
let sandbox: FileTests["sandbox"];
let at: FileTests["at"];
beforeEach(() => {
	({ agent, sandbox, at } = tests);
});

const url = (query: Record<string, string>) => `${agent.url}/files?${new URLSearchParams(query)}`;

async function send(query: Record<string, string>, body: string | Uint8Array<ArrayBuffer>, headers: Headers): Promise<Response> {
	return await fetch(url(query), { method: "POST", body, headers });
}

/** A download without the headers that fetch adds by itself. */
function get(query: Record<string, string>, headers: Headers) {
	return new Promise<{ status: number | undefined; headers: IncomingHttpHeaders; data: Buffer }>((resolve, reject) => {
		const call = request(url(query), { headers }, (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk) => chunks.push(chunk));
			response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, data: Buffer.concat(chunks) }));
		});
		call.on("error", reject);
		call.end();
	});
}

const OCTETS = { "content-type": "application/octet-stream" };

describe("upload through the SDK", () => {
	test("text, bytes and streams come back as they went", async () => {
		const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);
		await sandbox.files.write(join(at, "text"), "grüße\n");
		await sandbox.files.write(join(at, "bytes"), bytes.buffer);
		await sandbox.files.write(join(at, "stream"), new Blob([bytes]).stream());
		expect(await sandbox.files.read(join(at, "text"))).toBe("grüße\n");
		expect(await sandbox.files.read(join(at, "bytes"), { format: "bytes" })).toEqual(bytes);
		expect(await sandbox.files.read(join(at, "stream"), { format: "bytes" })).toEqual(bytes);
	});

	test("many files in one request, parents made, names with spaces and umlauts", async () => {
		const names = ["a/b/c.txt", "d é.txt", "e'%20.txt"];
		const written = await sandbox.files.write(names.map((name) => ({ path: join(at, name), data: name })));
		expect(written.map(({ path }) => path)).toEqual(names.map((name) => join(at, name)));
		for (const name of names) expect(await readFile(join(at, name), "utf8")).toBe(name);
	});

	test("what a user writes is that user's, parents included, and 0644", async () => {
		await chmod(at, 0o777);
		await sandbox.files.write(join(at, "new/file"), "x", { user: "nobody" });
		const [file, parent] = [await stat(join(at, "new/file")), await stat(join(at, "new"))];
		expect([file.uid, file.mode & 0o777, parent.uid, parent.mode & 0o777]).toEqual([65534, 0o644, 65534, 0o755]);
	});

	test("gzip both ways", async () => {
		const text = "compressible ".repeat(10_000);
		await sandbox.files.write(join(at, "f"), text, { gzip: true });
		expect(await readFile(join(at, "f"), "utf8")).toBe(text);
		expect(await sandbox.files.read(join(at, "f"), { gzip: true })).toBe(text);
	});
});

describe("upload on the wire", () => {
	test("the answer has name, path and type and nothing else", async () => {
		const answer = await send({ path: join(at, "f") }, "x", OCTETS);
		expect([answer.status, await json(answer)]).toEqual([200, [{ name: "f", path: join(at, "f"), type: "file" }]]);
	});

	test("a shorter upload leaves nothing of the longer one before", async () => {
		await send({ path: join(at, "f") }, "a long text", OCTETS);
		await send({ path: join(at, "f") }, "short", OCTETS);
		expect(await readFile(join(at, "f"), "utf8")).toBe("short");
	});

	test("a part without a file name is taken when the query has the path", async () => {
		const form = new FormData();
		form.set("file", "text");
		const answer = await fetch(url({ path: join(at, "f") }), { method: "POST", body: form });
		expect(answer.status).toBe(200);
		expect(await readFile(join(at, "f"), "utf8")).toBe("text");
	});

	test("the path of the query wins over the part's name; parts of other names count for nothing", async () => {
		const form = new FormData();
		form.append("note", "ignored");
		form.append("file", new Blob(["text"]), join(at, "other"));
		form.append("more", new Blob(["ignored"]), join(at, "more"));
		const answer = await fetch(url({ path: join(at, "f") }), { method: "POST", body: form });
		expect(await json(answer)).toEqual([{ name: "f", path: join(at, "f"), type: "file" }]);
		expect(await readdir(at)).toEqual(["f"]);
	});

	test("a body of unknown length is taken as it comes", async () => {
		const body = new Blob(["a".repeat(70_000), "b".repeat(70_000)]).stream();
		const answer = await fetch(url({ path: join(at, "f") }), { method: "POST", body, headers: OCTETS, duplex: "half" });
		expect(answer.status).toBe(200);
		expect((await stat(join(at, "f"))).size).toBe(140_000);
	});

	test("an existing file becomes the acting user's", async () => {
		await writeFile(join(at, "f"), "root's");
		await send({ path: join(at, "f"), username: "nobody" }, "x", OCTETS);
		expect((await stat(join(at, "f"))).uid).toBe(65534);
	});

	test("the same path twice is refused", async () => {
		const form = new FormData();
		form.append("file", new Blob(["1"]), join(at, "f"));
		form.append("file", new Blob(["2"]), join(at, "./f"));
		expect((await fetch(url({}), { method: "POST", body: form })).status).toBe(400);
	});

	test.each([
		["no path", {}, "x", OCTETS],
		["an unknown content type", { path: "f" }, "x", { "content-type": "text/plain" }],
		["an unknown coding", { path: "f" }, "x", { ...OCTETS, "content-encoding": "br" }],
		["a broken gzip body", { path: "/dev/shm/offshoot-never" }, "not gzip", { ...OCTETS, "content-encoding": "gzip" }],
		["a broken form", {}, "x", { "content-type": "multipart/form-data" }],
		["a form that ends early", {}, "--b\r\n", { "content-type": "multipart/form-data; boundary=b" }],
		["a directory", { path: "/tmp" }, "x", OCTETS],
		["a path with NUL", { path: "/tmp/a\0b" }, "x", OCTETS],
		["another user's home", { path: "~other/x" }, "x", OCTETS],
	])("%s is refused with 400", async (_, query, body, headers) => {
		const answer = await send(query, body, headers);
		expect([answer.status, (await json(answer)).code]).toEqual([400, 400]);
	});

	test("an unknown user is refused", async () => {
		const answer = await send({ path: "x", username: "nosuch" }, "x", OCTETS);
		expect(answer.status).toBe(401);
		expect((await json(answer)).message).toContain("error looking up user 'nosuch'");
	});

	test("a device is refused", async () => {
		expect((await send({ path: "/dev/full" }, "x", OCTETS)).status).toBe(400);
	});

	test("a full disk is told as 507, and the connection stays usable", async () => {
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]);
		try {
			const answer = await send({ path: join(at, "f") }, new Uint8Array(3_000_000), OCTETS);
			expect([answer.status, (await json(answer)).code]).toEqual([507, 507]);
			expect((await send({ path: join(at, "g") }, "", OCTETS)).status).toBe(200);
		} finally {
			execFileSync("umount", [at]);
		}
	});
});

describe("a form that is left in the middle of a file", () => {
	const form = '--b\r\nContent-Disposition: form-data; name="file"; filename="';
	const openFiles = async () => {
		const links = `/proc/${agent.daemonPid}/fd`;
		const names = await readdir(links);
		return (await Promise.all(names.map((name) => readlink(join(links, name)).catch(() => "")))).filter((path) =>
			path.startsWith(at),
		);
	};

	test.each(["the body ends", "the client goes away"])("does not hold the file open when %s", async (how) => {
		const body = `${form}${join(at, "left")}"\r\n\r\n${"x".repeat(200_000)}`;
		const more = how === "the body ends" ? 0 : 1000;
		const socket = connect(agent.port, "127.0.0.1");
		socket.write(
			`POST /files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${body.length + more}\r\n\r\n`,
		);
		socket.write(body);
		if (more === 0) expect(String((await once(socket, "data"))[0])).toContain("HTTP/1.1 400");
		else await vi.waitFor(async () => expect(await openFiles()).toEqual([join(at, "left")]));
		socket.destroy();
		await vi.waitFor(async () => expect(await openFiles()).toEqual([]));
	});
});

test("a file of /proc that cannot be read is the request's mistake", async () => {
	expect((await get({ path: "/proc/self/mem" }, {})).status).toBe(400);
});

describe("metadata", () => {
	test("is kept with the file and shown by stat; the next upload replaces it", async () => {
		const path = join(at, "f");
		const answer = await send({ path }, "x", { ...OCTETS, "x-metadata-Author": "me", "x-metadata-b": "2" });
		expect((await json(answer))[0].metadata).toEqual({ author: "me", b: "2" });
		expect((await sandbox.files.getInfo(path)).metadata).toEqual({ author: "me", b: "2" });
		await send({ path }, "x", { ...OCTETS, "x-metadata-c": "3" });
		expect((await sandbox.files.getInfo(path)).metadata).toEqual({ c: "3" });
		await send({ path }, "x", OCTETS);
		expect((await sandbox.files.getInfo(path)).metadata ?? {}).toEqual({});
	});

	test.each([
		["a long key", { [`x-metadata-${"k".repeat(247)}`]: "v" }],
		["too much in all", { "x-metadata-k": "v".repeat(4096) }],
		["other than printable ASCII", { "x-metadata-k": "\u00e4" }],
	])("%s is refused before the file is touched", async (_, headers) => {
		const answer = await send({ path: join(at, "f") }, "x", { ...OCTETS, ...headers });
		expect(answer.status).toBe(400);
		await expect(stat(join(at, "f"))).rejects.toThrow("ENOENT");
	});
});

describe("download", () => {
	test("a missing file is not found, a directory refused", async () => {
		await expect(sandbox.files.read(join(at, "none"))).rejects.toThrow(FileNotFoundError);
		const answer = await fetch(url({ path: at }));
		expect([answer.status, (await json(answer)).message]).toEqual([400, `path '${at}' is a directory`]);
	});

	test("an empty file has length 0; one that only seems empty is read to its end", async () => {
		await writeFile(join(at, "empty"), "");
		const empty = await fetch(url({ path: join(at, "empty") }));
		expect([empty.status, empty.headers.get("content-length"), await empty.text()]).toEqual([200, "0", ""]);
		const seeming = await fetch(url({ path: "/proc/self/status" }));
		expect(await seeming.text()).toContain("VmRSS");
	});

	test("tells length, type, name and time", async () => {
		await writeFile(join(at, "a b.html"), "<p>");
		const { headers } = await fetch(url({ path: join(at, "a b.html") }));
		expect(headers.get("content-length")).toBe("3");
		expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
		expect(headers.get("content-disposition")).toBe('inline; filename="a b.html"');
		expect(headers.get("vary")).toBe("Accept-Encoding");
		expect(headers.get("last-modified")).toBe((await stat(join(at, "a b.html"))).mtime.toUTCString());
	});

	test("is compressed for who asks for gzip only", async () => {
		await writeFile(join(at, "f"), "x".repeat(1000));
		const body = await get({ path: join(at, "f") }, { "accept-encoding": "gzip" });
		expect(body.headers["content-encoding"]).toBe("gzip");
		expect(gunzipSync(body.data).toString()).toBe("x".repeat(1000));
	});

	test.each([
		["bytes=2-4", 206, "234", "bytes 2-4/10"],
		["bytes=-3", 206, "789", "bytes 7-9/10"],
		["bytes=8-", 206, "89", "bytes 8-9/10"],
		["bytes=-20", 206, "0123456789", "bytes 0-9/10"],
		["bytes=8-20, 10-", 206, "89", "bytes 8-9/10"],
		["bytes=0-5,4-9", 200, "0123456789", null],
		["bytes=", 200, "0123456789", null],
	])("range %s", async (range, status, body, contentRange) => {
		await writeFile(join(at, "f"), "0123456789");
		const answer = await fetch(url({ path: join(at, "f") }), { headers: { range } });
		expect([answer.status, await answer.text(), answer.headers.get("content-range")]).toEqual([status, body, contentRange]);
	});

	test("several ranges come as parts of one body, each with its place and the file's type", async () => {
		await writeFile(join(at, "f.txt"), "0123456789");
		const answer = await fetch(url({ path: join(at, "f.txt") }), { headers: { range: "bytes=0-1, 4-5,-1" } });
		const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.headers.get("content-type") ?? "")?.[1];
		const part = (range: string, data: string) =>
			`--${boundary}\r\nContent-Range: bytes ${range}/10\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${data}\r\n`;
		const body = `${part("0-1", "01")}${part("4-5", "45")}${part("9-9", "9")}--${boundary}--\r\n`;
		expect([answer.status, answer.headers.get("content-length"), await answer.text()]).toEqual([206, String(body.length), body]);
		expect(answer.headers.get("content-range")).toBeNull();
	});

	test.each(["nonsense", "bytes=1", "bytes=-", "bytes=5-4", "bytes=0-1,x", "lines=0-1"])("range %j is refused", async (range) => {
		await writeFile(join(at, "f"), "0123456789");
		const answer = await fetch(url({ path: join(at, "f") }), { headers: { range } });
		expect([answer.status, (await json(answer)).code, answer.headers.get("content-range")]).toEqual([416, 416, null]);
	});

	test.each([
		["a picture without extension", "f", "\x89PNG\r\n\x1a\n", "image/png"],
		["a script of unknown extension", "f.unknown", "#!/bin/sh\n", "text/plain; charset=utf-8"],
		["a file named like a type", "json", "<!doctype html>", "text/html; charset=utf-8"],
		["an empty file", "f", "", "text/plain; charset=utf-8"],
		["a known extension", "f.png", "no picture", "image/png"],
	])("%s has the type that its name or else its content tells", async (_, name, content, type) => {
		await writeFile(join(at, name), content, "latin1");
		expect((await fetch(url({ path: join(at, name) }))).headers.get("content-type")).toBe(type);
	});

	test("the type of a file without extension is not looked for when it is compressed", async () => {
		await writeFile(join(at, "f"), "text");
		expect((await get({ path: join(at, "f") }, { "accept-encoding": "gzip" })).headers["content-type"]).toBe(
			"application/octet-stream",
		);
	});

	test("a range past the end is told as such", async () => {
		await writeFile(join(at, "f"), "0123456789");
		const answer = await fetch(url({ path: join(at, "f") }), { headers: { range: "bytes=10-" } });
		expect([answer.status, answer.headers.get("content-range")]).toEqual([416, "bytes */10"]);
	});

	test("an unchanged file is not sent again; a range of a changed one is the whole", async () => {
		await writeFile(join(at, "f"), "0123456789");
		const time = (await stat(join(at, "f"))).mtime.toUTCString();
		const unchanged = await get({ path: join(at, "f") }, { "if-modified-since": time, "cache-control": "no-cache" });
		expect(unchanged.status).toBe(304);
		const headers = { range: "bytes=0-1", "if-range": new Date(0).toUTCString() };
		expect(await (await fetch(url({ path: join(at, "f") }), { headers })).text()).toBe("0123456789");
	});

	const precondition: Record<string, [fields: (time: Date) => Headers, status: number]> = {
		"unmodified since a time before its own": [() => ({ "if-unmodified-since": new Date(0).toUTCString() }), 412],
		"unmodified since its own time": [(time) => ({ "if-unmodified-since": time.toUTCString() }), 200],
		"unmodified since what is no time": [() => ({ "if-unmodified-since": "yesterday" }), 200],
		"of a tag, which no file has": [() => ({ "if-match": '"x"' }), 412],
		"of any tag": [() => ({ "if-match": "*" }), 200],
	};

	test.each(Object.entries(precondition))("a file is wanted if it is %s", async (_, [fields, status]) => {
		for (const content of ["0123456789", ""]) {
			await writeFile(join(at, "f"), content);
			const { mtime } = await stat(join(at, "f"));
			const answer = await get({ path: join(at, "f") }, { ...fields(mtime), "accept-encoding": "gzip" });
			expect([answer.status, answer.headers["content-encoding"]]).toEqual([status, undefined]);
			if (status === 412) expect(JSON.parse(answer.data.toString())).toMatchObject({ code: 412 });
			else expect(answer.data.toString()).toBe(content);
		}
	});

	test("a sparse file of 200 MB is sent whole", async () => {
		await writeFile(join(at, "f"), "");
		await truncate(join(at, "f"), 200_000_000);
		const answer = await fetch(url({ path: join(at, "f") }));
		let length = 0;
		for await (const chunk of answer.body ?? []) length += chunk.length;
		expect(length).toBe(200_000_000);
	});
});

describe("compose", () => {
	const compose = (body: unknown) => fetch(`${agent.url}/files/compose`, { method: "POST", body: JSON.stringify(body) });

	test("joins in order and removes the sources", async () => {
		await writeFile(join(at, "1"), "one");
		await writeFile(join(at, "2"), "two");
		const answer = await compose({ source_paths: [join(at, "2"), join(at, "1")], destination: join(at, "sub/all") });
		expect([answer.status, await json(answer)]).toEqual([200, { name: "all", path: join(at, "sub/all"), type: "file" }]);
		expect(await readFile(join(at, "sub/all"), "utf8")).toBe("twoone");
		await expect(stat(join(at, "1"))).rejects.toThrow("ENOENT");
	});

	test("keeps the metadata of a file that was there, and tells it", async () => {
		await send({ path: join(at, "all") }, "before", { ...OCTETS, "x-metadata-author": "me" });
		await writeFile(join(at, "1"), "one");
		const answer = await json(compose({ source_paths: [join(at, "1")], destination: join(at, "all") }));
		expect(answer).toEqual({ name: "all", path: join(at, "all"), type: "file", metadata: { author: "me" } });
	});

	test("refuses before anything is changed", async () => {
		await writeFile(join(at, "1"), "one");
		const refusals = await Promise.all([
			compose({ source_paths: [], destination: "x" }),
			compose({ source_paths: [join(at, "1")], destination: join(at, "1") }),
			compose({ source_paths: [at], destination: join(at, "x") }),
			compose({ source_paths: [join(at, "1"), join(at, "none")], destination: join(at, "x") }),
			compose("no object"),
		]);
		expect(refusals.map(({ status }) => status)).toEqual([400, 400, 400, 404, 400]);
		expect(await readFile(join(at, "1"), "utf8")).toBe("one");
	});

	test("refuses a source that is the destination under another name, which would be emptied before it is read", async () => {
		await writeFile(join(at, "1"), "one");
		await symlink(join(at, "1"), join(at, "symbolic"));
		await link(join(at, "1"), join(at, "hard"));
		for (const name of ["symbolic", "hard", `../${basename(at)}/1`]) {
			expect((await compose({ source_paths: [join(at, "1")], destination: `${at}/${name}` })).status).toBe(400);
		}
		expect(await readFile(join(at, "1"), "utf8")).toBe("one");
	});
});

describe("in a secured sandbox", () => {
	test("a signature stands for the token, for its path, user and operation", async () => {
		await using secured = await TestAgent.start();
		await secured.initialise({ accessToken: "secret" });
		const path = join(at, "f");
		await writeFile(path, "content");
		const signed = (query: Record<string, string>, operation: string) => {
			const parameters = new URLSearchParams(query);
			parameters.set("signature", signature("secret", operation, parameters));
			return `${secured.url}/files?${parameters}`;
		};
		expect(await (await fetch(signed({ path }, "read"))).text()).toBe("content");
		const expired = await fetch(signed({ path, signature_expiration: "1" }, "read"));
		expect([expired.status, await json(expired)]).toEqual([401, { code: 401, message: "signature is already expired" }]);
		expect((await fetch(`${secured.url}/files?path=${path}`)).status).toBe(401);
		const headers = { "x-access-token": "secret" };
		expect((await fetch(`${secured.url}/files?path=${path}`, { headers })).status).toBe(200);
		const form = new FormData();
		form.append("file", new Blob(["up"]), join(at, "up"));
		expect((await fetch(signed({}, "write"), { method: "POST", body: form })).status).toBe(200);
		expect(await readFile(join(at, "up"), "utf8")).toBe("up");
	});
});

test("a client that goes away in the middle leaves the daemon well", async () => {
	const aborter = new AbortController();
	const endless = new ReadableStream({
		async pull(controller) {
			await setImmediate();
			controller.enqueue(new Uint8Array(65536));
		},
	});
	const upload = fetch(url({ path: join(at, "f") }), {
		method: "POST",
		body: endless,
		headers: OCTETS,
		signal: aborter.signal,
		duplex: "half",
	});
	await expect
		.poll(
			() =>
				stat(join(at, "f")).then(
					({ size }) => size > 0,
					() => false,
				),
			{ timeout: 5000 },
		)
		.toBe(true);
	aborter.abort();
	await expect(upload).rejects.toThrow();
	expect((await fetch(`${agent.url}/health`)).status).toBe(204);
});

test("a link is followed, as by any program", async () => {
	await writeFile(join(at, "target"), "through");
	await symlink("target", join(at, "link"));
	expect(await sandbox.files.read(join(at, "link"))).toBe("through");
});

test("a gzip form is taken as well", async () => {
	const form = new FormData();
	form.append("file", new Blob(["zipped"]), join(at, "f"));
	const plain = new Response(form);
	const body = gzipSync(Buffer.from(await plain.arrayBuffer()));
	const type = plain.headers.get("content-type") ?? "";
	const answer = await send({}, new Uint8Array(body), { "content-type": type, "content-encoding": "gzip" });
	expect(answer.status).toBe(200);
	expect(await readFile(join(at, "f"), "utf8")).toBe("zipped");
});
