/** The files in which programs look for what tells one sandbox from another. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { posix } from "node:path";
import type { AgentInit } from "../../../../src/protocol/index.ts";

export interface GuestFiles {
	/** Directory that holds the sandbox's file system; `/` except in tests. */
	readonly root: string;
}

/** The address of the own host name in /etc/hosts: Debian's, which is never that of `localhost`. */
const OWN_ADDRESS = "127.0.1.1";

/** Replaces a file in one step; makes its directory. */
export async function replaceFile(files: GuestFiles, path: string, content: string, mode: number): Promise<void> {
	const full = posix.join(files.root, path);
	const draft = `${full}.offshoot`;
	await writeFile(draft, content, { mode }).catch(async () => {
		await mkdir(posix.dirname(full), { recursive: true });
		await writeFile(draft, content, { mode });
	});
	await rename(draft, full);
}

/** What lies in /run, which a cold start of the same sandbox begins empty. */
export async function writeRunFiles(files: GuestFiles, init: AgentInit): Promise<void> {
	await Promise.all([
		replaceFile(files, "/run/offshoot/generation", `${init.generation}\n`, 0o644),
		replaceFile(files, "/run/e2b/.E2B_SANDBOX", "true", 0o644),
		replaceFile(files, "/run/e2b/.E2B_SANDBOX_ID", init.sandboxId, 0o644),
		replaceFile(files, "/run/e2b/.E2B_TEMPLATE_ID", init.templateId, 0o644),
	]);
}

export async function writeIdentity(files: GuestFiles, init: AgentInit): Promise<void> {
	const machineId = `${machineIdOf(init)}\n`;
	await Promise.all([
		replaceFile(files, "/etc/hostname", `${init.hostname}\n`, 0o644),
		writeHosts(files, init.hostname),
		replaceFile(files, "/etc/machine-id", machineId, 0o444),
		writeBusMachineId(files, machineId),
	]);
}

/**
 * 32 hexadecimal digits. From the host's entropy: the generator of this process was captured with its memory, so every
 * clone of a snapshot would draw the same id from it.
 */
function machineIdOf(init: AgentInit): string {
	return createHash("sha256").update("machine-id").update(init.entropy, "base64").digest("hex").slice(0, 32);
}

async function writeHosts(files: GuestFiles, hostname: string): Promise<void> {
	const path = posix.join(files.root, "/etc/hosts");
	const before = await readFile(path, "utf8").catch(() => "127.0.0.1\tlocalhost\n::1\tlocalhost\n");
	const kept = before.split("\n").filter((line) => line !== "" && line.split(/\s+/, 1)[0] !== OWN_ADDRESS);
	// Written in place: container tools mount this file, and a mount cannot be renamed over.
	await writeFile(path, `${[...kept, `${OWN_ADDRESS}\t${hostname}`].join("\n")}\n`);
}

/** Mostly a link to /etc/machine-id, or absent where there is no D-Bus. */
async function writeBusMachineId(files: GuestFiles, machineId: string): Promise<void> {
	const directory = posix.join(files.root, "/var/lib/dbus");
	const present = await stat(directory).catch(() => undefined);
	if (present === undefined) return;
	await replaceFile(files, "/var/lib/dbus/machine-id", machineId, 0o444);
}
