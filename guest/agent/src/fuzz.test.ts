/**
 * Malformed requests must not end the daemon, are answered with 4xx, a protocol error or a closed connection, touch
 * nothing they were not meant to touch, and leave neither memory nor descriptors behind.
 */
import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Attempt, type Outcome, send, show, Tally } from "../../../tests/support/malformed.ts";
import { descriptors, mib, residentBytes } from "../../../tests/support/process.ts";
import { campaignLength, campaignSeed, seededRandom } from "../../../tests/support/random.ts";
import { until } from "../../../tests/support/sandboxes.ts";
import { TestAgent } from "../testing/agent.ts";
import { brokenRequest, CANARY, PLAYGROUND, requestAtCanary } from "../testing/malformed.ts";

const REQUESTS = campaignLength(1_000, 20_000);
/** Until then the daemon loads code and its heap grows to what it needs. */
const WARM_UP = REQUESTS / 4;
const AT_ONCE = 20;
const TOKEN = "token-of-the-campaign";

let agent: TestAgent;

beforeAll(async () => {
	agent = await TestAgent.startInWorld();
	await agent.initialise({ accessToken: TOKEN });
	await mkdir(join(agent.directory, PLAYGROUND), { recursive: true });
	await mkdir(join(agent.directory, CANARY, "dir"), { recursive: true });
	await writeFile(join(agent.directory, CANARY, "file"), "alive");
	await writeFile(join(agent.directory, CANARY, "dir/deep"), "alive too");
	await symlink("file", join(agent.directory, CANARY, "link"));
}, 60_000);

afterAll(async () => {
	await agent[Symbol.asyncDispose]();
});

/** Contents and all that a change would leave a mark on. */
async function fingerprint(path: string): Promise<string> {
	const { mode, uid, gid, size, mtimeMs, ctimeMs, ino } = await lstat(path);
	const lines = [`${path} ${mode} ${uid} ${gid} ${size} ${mtimeMs} ${ctimeMs} ${ino}`];
	if ((mode & 0o170000) === 0o100000)
		lines.push(
			createHash("sha256")
				.update(await readFile(path))
				.digest("hex"),
		);
	if ((mode & 0o170000) === 0o040000) {
		for (const name of (await readdir(path)).sort()) lines.push(await fingerprint(join(path, name)));
	}
	return lines.join("\n");
}

/** Connect calls it an internal error when it cannot read a message. */
const UNREADABLE = /"message":"(parse binary|received compressed envelope, but do not know how to decompress)/;

/** As E2B's daemon calls what the kernel refuses to rename, such as a directory into itself or to another file system. */
const NOT_RENAMED = /"message":"error renaming: E[A-Z]+:/;

/** Whether an answer says that something other than the request is wrong. */
function blamesDaemon({ status, text }: Outcome): boolean {
	if (UNREADABLE.test(text) || NOT_RENAMED.test(text)) return false;
	if (status !== undefined && status >= 500 && status !== 501) return true;
	return /"code":"(internal|unknown|data_loss)"/.test(text);
}

test("malformed requests do no harm", { timeout: 900_000 }, async () => {
	const seed = campaignSeed();
	const random = seededRandom(seed);
	const { daemonPid, sysdPid } = agent;
	const canary = await fingerprint(join(agent.directory, CANARY));
	const tally = new Tally();
	const wrong: string[] = [];
	const one = async (request: Attempt) => {
		const outcome = await send(request, agent.port);
		tally.add(outcome);
		if (blamesDaemon(outcome)) wrong.push(show(request, outcome));
	};
	const many = async (count: number) => {
		for (let sent = 0; sent < count; sent += AT_ONCE) {
			const requests = Array.from({ length: AT_ONCE }, () =>
				random() < 0.25 ? requestAtCanary(random, TOKEN) : brokenRequest(random, TOKEN),
			);
			await Promise.all(requests.map(one));
		}
	};
	const held = async () => [await descriptors(daemonPid), await descriptors(sysdPid)];

	await many(WARM_UP);
	const [before, descriptorsBefore] = [await residentBytes(daemonPid), await held()];
	await many(REQUESTS - WARM_UP);
	process.stdout.write(`daemon: ${REQUESTS} malformed requests, OFFSHOOT_TEST_SEED=${seed}: ${tally}\n`);

	expect(wrong).toEqual([]);
	expect(agent.daemonPid).toBe(daemonPid);
	expect((await fetch(`${agent.url}/envs`, { headers: { "X-Access-Token": TOKEN } })).status).toBe(200);
	expect((await fetch(`${agent.url}/envs`)).status).toBe(401);
	expect(await fingerprint(join(agent.directory, CANARY))).toBe(canary);
	await until("descriptors to be closed", async () =>
		(await held()).every((count, at) => count <= (descriptorsBefore[at] ?? 0) + 2),
	);
	await until("memory to be given back", async () => (await residentBytes(daemonPid)) < before * 1.3 + 32 * 1024 * 1024, 60_000);
	process.stdout.write(`daemon: resident ${mib(before)} before, ${mib(await residentBytes(daemonPid))} after\n`);
});
