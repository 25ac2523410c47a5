import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileTests } from "../../testing/files.ts";
import { collect, json, stream, unary } from "../../testing/rpc.ts";

const tests = fileTests();

const ENDLESS = ["0", "2147483648", "2592000000", "9999999999"];

describe.each(ENDLESS)("a time of %s ms has no end", (limit) => {
	const headers = { "connect-timeout-ms": limit };

	test("for a command", async () => {
		const request = { process: { cmd: "sh", args: ["-c", "sleep 0.2; echo done"] } };
		const messages = await collect(stream(tests.agent, "process.Process/Start", request, { headers }));
		expect(messages.slice(-2).map(({ body }) => body)).toEqual([
			{ event: { end: { exited: true, status: "exit status 0" } } },
			{},
		]);
	});

	test("for who joins one", async () => {
		const messages = stream(tests.agent, "process.Process/Start", { process: { cmd: "sleep", args: ["0.4"] } });
		const pid = (await messages.next()).value?.body.event.start.pid;
		const joined = await collect(stream(tests.agent, "process.Process/Connect", { process: { pid } }, { headers }));
		expect(joined.at(-1)?.body).toEqual({});
		await collect(messages);
	});

	test("for a watch", async () => {
		const messages = stream(tests.agent, "filesystem.Filesystem/WatchDir", { path: tests.at }, { headers });
		expect((await messages.next()).value?.body).toEqual({ start: {} });
		await writeFile(join(tests.at, "f"), "");
		expect((await messages.next()).value?.body.filesystem.name).toBe("f");
		await messages.return(undefined);
	});

	test("for a call with one answer", async () => {
		expect((await unary(tests.agent, "process.Process/List", {}, headers)).status).toBe(200);
	});
});

test("a call with one answer ends as deadline_exceeded when its time is over", async () => {
	const messages = stream(tests.agent, "process.Process/Start", { process: { cmd: "sleep", args: ["600"] }, stdin: true });
	const process = { pid: (await messages.next()).value?.body.event.start.pid };
	const input = { stdin: Buffer.alloc(1_000_000).toString("base64") };
	const answer = await unary(tests.agent, "process.Process/SendInput", { process, input }, { "connect-timeout-ms": "300" });
	expect([answer.status, (await json(answer)).code]).toEqual([504, "deadline_exceeded"]);
	await unary(tests.agent, "process.Process/SendSignal", { process, signal: 9 });
	await collect(messages);
});

test.each(["-5", "1.5", "soon", "99999999999"])("a time of %s is none", async (limit) => {
	const answer = await unary(tests.agent, "process.Process/List", {}, { "connect-timeout-ms": limit });
	expect([answer.status, (await json(answer)).code]).toEqual([400, "invalid_argument"]);
});
