/** `server.json` in the data directory: where the running server is, for the other commands. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Static, Type } from "typebox";
import { isAlive, ProcessIdentitySchema } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { describeActivity, instanceOwner } from "./instance-lock.ts";
import { readJsonFile, writeJsonFile } from "./json-file.ts";

const ServerFileSchema = Type.Object({
	process: ProcessIdentitySchema,
	instanceId: Type.String(),
	/** Address for clients on this machine. */
	url: Type.String(),
	/** `host[:port]` for clients that speak TLS, and the certificate of the authority they must trust if it is an own one. */
	tls: Type.Optional(Type.Object({ domain: Type.String(), authority: Type.Optional(Type.String()) })),
	/** RFC 3339 */
	startedAt: Type.String(),
});
export type ServerFile = Static<typeof ServerFileSchema>;

const NAME = "server.json";

export async function writeServerFile(dataDir: string, content: ServerFile): Promise<void> {
	await writeJsonFile(join(dataDir, NAME), content, 0o644);
}

export async function removeServerFile(dataDir: string): Promise<void> {
	await rm(join(dataDir, NAME), { force: true });
}

/** The server that runs on this data directory; a file left by a killed one does not count. */
export async function runningServer(dataDir: string): Promise<ServerFile | undefined> {
	const file = await readJsonFile(join(dataDir, NAME), ServerFileSchema);
	return file !== undefined && isAlive(file.process) ? file : undefined;
}

/** @throws OffshootError not_found when no server runs */
export async function requireServer(dataDir: string): Promise<ServerFile> {
	const server = await runningServer(dataDir);
	if (server !== undefined) return server;
	const owner = await instanceOwner(dataDir);
	if (owner?.activity !== undefined) {
		throw new OffshootError(
			"not_found",
			`the server on ${dataDir} is ${describeActivity(owner.activity)}. FIX: wait until ./offshoot status says that it runs`,
		);
	}
	throw new OffshootError("not_found", `no server runs on ${dataDir}. FIX: ./offshoot up --detach`);
}
