import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import type { TestServer } from "../tests/support/server.ts";
import { hostRecord, newestArtifact, withServer } from "./support/bench-server.ts";
import { residentGuestProcesses } from "./support/host-memory.ts";
import { openRawRunsc } from "./support/raw-runsc.ts";
import { printReport } from "./support/report.ts";
import { summarize } from "./support/stats.ts";

/**
 * Memory of idle sandboxes: the guest agent's, the interpreter's parts and whole images, beside the image of the same
 * root filesystem with nothing but a `sleep` in it.
 */
const ROUNDS = Number(process.env.OFFSHOOT_BENCH_ROUNDS ?? 5);
const MB = 1e6;
/** ms in which a sandbox that was just started comes to rest */
const REST_MS = 1_000;

/** Guest processes by what their command line contains. */
const PARTS = {
	"guest agent": "/bin/offshoot-agentd ",
	"interpreter server": "/bin/offshoot-interp ",
	"JavaScript kernel": "/bin/offshoot-kernel ",
	"Python kernel": "launch.py",
} as const;

await withServer(async (server) => {
	const samples = new Map<string, number[]>();
	const note = (name: string, value: number) => samples.set(name, [...(samples.get(name) ?? []), value]);
	const raw = await openRawRunsc(server.dataDir, await newestArtifact(server.dataDir, "template", "base"));
	for (let round = 0; round < ROUNDS; round++) {
		await raw.bootSleep();
		await sleep(REST_MS);
		note("image: base files, only a sleep", (await raw.checkpoint()).imageBytes / MB);
		note("image: idle base", await idleImage(server, "base"));
		note("image: idle code-interpreter-v1", await idleImage(server, "code-interpreter-v1"));
		const { total, program } = await residentAgent(server);
		note("agent: resident on the host", total);
		note("agent: of it, Node's program file", program);
	}
	await raw.close();
	const rows = Object.fromEntries([...samples].map(([name, values]) => [name, summarize(values)]));
	const p50 = (name: string) => rows[name]?.p50 ?? Number.NaN;
	const share = p50("image: idle base") - p50("image: base files, only a sleep");
	printReport({
		bench: "memory",
		what: "idle sandboxes; notes: what processes have written to, which is what goes into an image",
		unit: "MB of 1,000,000 bytes",
		rows,
		notes: { "agent's share of an image, MB": share, ...(await writtenByPart()) },
	});
});

/** MB of a snapshot of a sandbox that was just made. */
async function idleImage(server: TestServer, template: string): Promise<number> {
	const sandbox = await Sandbox.create(template);
	await sleep(REST_MS);
	await sandbox.createSnapshot();
	await sandbox.kill();
	const id = await newestArtifact(server.dataDir, "snapshot");
	const manifest: { files: { size: number }[] } = JSON.parse(
		await readFile(join(server.dataDir, "artifacts", id, "manifest.json"), "utf8"),
	);
	return manifest.files.reduce((sum, file) => sum + file.size, 0) / MB;
}

/** MB of an agent that has run a command. */
async function residentAgent(server: TestServer): Promise<{ readonly total: number; readonly program: number }> {
	const { instance } = await server.status();
	const sandbox = await Sandbox.create("base");
	await sandbox.commands.run("true");
	await sleep(REST_MS);
	const { pid } = await hostRecord(instance, sandbox.sandboxId);
	const [agent] = await residentGuestProcesses(pid, "/opt/offshoot/bin/runtime");
	await sandbox.kill();
	if (agent === undefined) throw new Error(`no process below ${pid} runs the agent`);
	return { total: agent.total / MB, program: agent.program / MB };
}

async function writtenByPart(): Promise<Record<string, number>> {
	const sandbox = await Sandbox.create("code-interpreter-v1");
	await sandbox.files.write("/tmp/memory.py", await readFile(new URL("support/guest-memory.py", import.meta.url), "utf8"));
	const { stdout } = await sandbox.commands.run("python3 /tmp/memory.py", { user: "root", timeoutMs: 300_000 });
	await sandbox.kill();
	const lines = stdout.trim().split("\n");
	const written = (text: string) => (Number(lines.find((line) => line.includes(text))?.split(" ")[0]) * 1024) / MB;
	return Object.fromEntries(Object.entries(PARTS).map(([name, text]) => [`written by the ${name}, MB`, written(text)]));
}
