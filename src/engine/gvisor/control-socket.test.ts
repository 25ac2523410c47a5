import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { expect, onTestFinished, test } from "vitest";
import { AnswerTooLongError } from "../types.ts";
import { type ControlSocket, openControlSocket } from "./control-socket.ts";

const forever = new AbortController().signal;
const MB = 1024 * 1024;
const INIT = ["/opt/offshoot/bin/busybox", "sh", "/opt/offshoot/bin/init"];

/** The control socket of a sandbox that answers every call so. */
async function controlSocket(answer: (socket: Socket, request: string) => void): Promise<ControlSocket> {
	const dir = await mkdtemp(join(tmpdir(), "offshoot-control-"));
	const sockets = new Set<Socket>();
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		sockets.add(socket);
		socket.on("error", () => {});
		socket.once("data", (request) => answer(socket, String(request)));
		// As the engine does, which takes one request after the other.
		socket.on("end", () => socket.end());
	});
	onTestFinished(async () => {
		for (const socket of sockets) socket.destroy();
		server.close();
		await rm(dir, { recursive: true });
	});
	const controlSocketPath = join(dir, "socket");
	server.listen(controlSocketPath);
	await once(server, "listening");
	await writeFile(join(dir, "box_sandbox:box.state"), JSON.stringify({ sandbox: { controlSocketPath } }));
	return openControlSocket(dir, "box");
}

/** As pkg/urpc writes it. */
function result(value: unknown): string {
	return JSON.stringify({ success: true, err: "", result: value });
}

/** As runsc/boot/procfs writes it. */
function dumpOf(pid: number, more: object) {
	return {
		exe: "/usr/bin/python3",
		clone_ts: 1_790_000_000_000_000_000,
		root: "/",
		limits: { RLIMIT_NOFILE: { Cur: 1024, Max: 4096 } },
		status: { comm: "python3", pid, ppid: 7, uid: { real: 0, effective: 0, saved: 0 }, vm_size: 99, vm_rss: 12 },
		stat: { pgid: 20, sid: 3 },
		...more,
	};
}

const PROCESS = { parentPid: 7, groupId: 20, program: "/usr/bin/python3", memoryBytes: 12 * 1024 };

test("the engine is asked for processes and their threads, and its errors are told", async () => {
	const answers = new Map([
		["containerManager.ProcfsDump", result([dumpOf(2, { args: INIT }), dumpOf(3, { exe: undefined })])],
		[
			"containerManager.Processes",
			result([
				{ pid: 2, threads: [2, 4], cmd: "sh" },
				{ pid: 3, threads: null },
			]),
		],
		["containerManager.Signal", JSON.stringify({ success: false, err: "no such process", result: null })],
	]);
	const control = await controlSocket((socket, request) => socket.write(answers.get(JSON.parse(request).method) ?? ""));
	expect(await control.processes(forever)).toEqual([
		{ ...PROCESS, pid: 2, args: INIT },
		{ ...PROCESS, pid: 3, args: [], program: "" },
	]);
	expect(await control.threads(forever)).toEqual(
		new Map([
			[2, 2],
			[3, 0],
		]),
	);
	await expect(control.killProcess(2, forever)).rejects.toThrow("containerManager.Signal: no such process");
});

test("processes with arguments, environment, descriptors and mappings without number are told by what is used of them", async () => {
	const many = {
		args: ["python3", "", "x".repeat(MB), ...Array<string>(50_000).fill("")],
		env: Array<string>(50_000).fill(""),
		fdlist: Array(5_000).fill({ number: 3, path: `/tmp/"${"d".repeat(250)}`, mode: 33188 }),
		maps: Array(5_000).fill({ address: { Start: 4096, End: 8192 }, private: "p", pathname: "]}" }),
	};
	const dump = result([dumpOf(2, many), dumpOf(3, many), dumpOf(4, { args: INIT })]);
	const control = await controlSocket((socket) => socket.write(dump));
	expect(await control.processes(forever)).toEqual([
		{ ...PROCESS, pid: 2, args: ["python3", "", ""] },
		{ ...PROCESS, pid: 3, args: ["python3", "", ""] },
		{ ...PROCESS, pid: 4, args: INIT },
	]);
});

test("an answer that is too long is an error of its own, and the engine is let write it to its end", async () => {
	const written = Promise.withResolvers<void>();
	const control = await controlSocket((socket) => {
		socket.write('{"success":true,"err":"","result":[{"args":[""');
		for (let n = 0; n < 64; n++) socket.write(',""'.repeat(MB / 3));
		socket.end("]}]}");
		finished(socket, { readable: false }).then(written.resolve, written.reject);
	});
	await expect(control.processes(forever)).rejects.toThrow(AnswerTooLongError);
	await written.promise;
});

test("an answer of which too much is used is one as well", async () => {
	const threads = Array.from({ length: MB }, (_, n) => 10_000 + n);
	const control = await controlSocket((socket) => socket.write(result([{ pid: 2, threads }])));
	await expect(control.threads(forever)).rejects.toThrow(AnswerTooLongError);
});

test("an answer that stops short of its end ends with the deadline or the sandbox", async () => {
	const half = result([dumpOf(2, {})]).slice(0, -1);
	const deadline = new AbortController();
	const silent = await controlSocket((socket) => {
		socket.write(half);
		deadline.abort();
	});
	await expect(silent.processes(deadline.signal)).rejects.toThrow("did not answer containerManager.ProcfsDump");
	const gone = await controlSocket((socket) => socket.end(half));
	await expect(gone.processes(forever)).rejects.toThrow("ended without an answer to containerManager.ProcfsDump");
});
