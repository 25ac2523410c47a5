/** Files far larger than what server and agent hold of them at any moment, up and down through the edge. */
import { createHash, randomBytes } from "node:crypto";
import type { Sandbox } from "e2b";
import { expect, inject, test } from "vitest";
import { watchAgentMemory } from "../support/guest-process.ts";
import { forgetPeak, mib, peakBytes, residentBytes, serverPid } from "../support/process.ts";
import { campaignLength } from "../support/random.ts";
import { rest } from "../support/rest.ts";
import { newSandbox } from "../support/sandboxes.ts";

const MIB = 1024 * 1024;
const SIZE = campaignLength(64, 1024) * MIB;
/** Goes first, so that buffers and code that are made once count as what was there before. */
const WARM_UP = 64 * MIB;
/** What a streaming server may hold more than before, whatever the file's size. */
const SERVER_LIMIT = campaignLength(48, 128) * MIB;
const AGENT_LIMIT = campaignLength(32, 64) * MIB;
const BOUNDARY = "of-the-form";

/** Different in every MiB; `hash` has seen all that was taken. */
function source(size: number): { readonly stream: () => ReadableStream<Uint8Array>; readonly digest: () => string } {
	const hash = createHash("md5");
	const block = randomBytes(MIB);
	const chunks = function* () {
		for (let at = 0; at < size; at += MIB) {
			const chunk = Buffer.from(block);
			chunk.writeDoubleLE(at);
			hash.update(chunk);
			yield chunk;
		}
	};
	return { stream: () => ReadableStream.from<Uint8Array>(chunks()), digest: () => hash.digest("hex") };
}

function form(file: ReadableStream<Uint8Array>, path: string): ReadableStream<Uint8Array> {
	const parts = async function* () {
		yield Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${path}"\r\n\r\n`);
		yield* file;
		yield Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
	};
	return ReadableStream.from<Uint8Array>(parts());
}

async function md5Inside(sandbox: Sandbox, path: string): Promise<string> {
	const { stdout } = await sandbox.commands.run(`md5sum ${path}`, { timeoutMs: 0 });
	return stdout.split(" ", 1)[0] ?? "";
}

test(`${mib(SIZE)} up and down, in flat memory`, { timeout: 1_800_000 }, async () => {
	const sandbox = await newSandbox("base", { timeoutMs: 1_800_000 });
	const { body } = await rest("GET", `/sandboxes/${sandbox.sandboxId}`);
	const routed = { "X-Access-Token": body.envdAccessToken, "E2b-Sandbox-Id": sandbox.sandboxId, "E2b-Sandbox-Port": "49983" };
	const files = `${inject("server").sdk.sandboxUrl}/files`;
	const pid = await serverPid(inject("server").dataDir);
	const path = "/home/user/large";

	const upload = async (query: string, type: string, stream: ReadableStream<Uint8Array>) => {
		const headers = { ...routed, "Content-Type": type };
		const answer = await fetch(files + query, { method: "POST", headers, body: stream, duplex: "half" });
		expect([answer.status, await answer.json()]).toEqual([200, [{ name: "large", path, type: "file" }]]);
	};
	const measured = async (what: string, transfer: () => Promise<void>) => {
		const agentMemory = await watchAgentMemory(sandbox);
		const before = await residentBytes(pid);
		await forgetPeak(pid);
		const start = performance.now();
		await transfer();
		const seconds = (performance.now() - start) / 1000;
		const [peak, after, agent] = [await peakBytes(pid), await residentBytes(pid), await agentMemory()];
		process.stdout.write(
			`${what} of ${mib(SIZE)} in ${seconds.toFixed(1)} s: resident before / peak / after: server ${mib(before)} / ${mib(peak)} / ${mib(after)}, agent ${mib(agent.before)} / ${mib(agent.peak)} / ${mib(agent.after)}\n`,
		);
		expect(peak - before).toBeLessThan(SERVER_LIMIT);
		expect(agent.peak - agent.before).toBeLessThan(AGENT_LIMIT);
	};

	const download = async () => {
		const answer = await fetch(`${files}?path=${path}`, { headers: routed });
		expect(answer.status).toBe(200);
		const hash = createHash("md5");
		let length = 0;
		for await (const chunk of answer.body ?? []) {
			hash.update(chunk);
			length += chunk.length;
		}
		return { length, announced: Number(answer.headers.get("content-length")), md5: hash.digest("hex") };
	};

	await upload(`?path=${path}`, "application/octet-stream", source(WARM_UP).stream());
	await download();

	const first = source(SIZE);
	await measured("upload", () => upload(`?path=${path}`, "application/octet-stream", first.stream()));
	const md5 = first.digest();
	expect(await md5Inside(sandbox, path)).toBe(md5);

	await measured("download", async () => {
		expect(await download()).toEqual({ length: SIZE, announced: SIZE, md5 });
	});

	const second = source(SIZE);
	await measured("upload as a form", () => upload("", `multipart/form-data; boundary=${BOUNDARY}`, form(second.stream(), path)));
	expect(await md5Inside(sandbox, path)).toBe(second.digest());
});
