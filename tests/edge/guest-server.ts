import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Sandbox } from "e2b";

/** Port of `programs/guest.mjs` in a sandbox. */
export const GUEST_PORT = 8000;

/** Resolves when the server in the sandbox listens. */
export async function serveGuest(sandbox: Sandbox): Promise<void> {
	await sandbox.files.write("/srv/guest.mjs", await readFile(join(import.meta.dirname, "programs/guest.mjs"), "utf8"));
	const listening = Promise.withResolvers<void>();
	const onStdout = () => listening.resolve();
	const options = { background: true, timeoutMs: 0, onStdout } as const;
	const server = await sandbox.commands.run(`node /srv/guest.mjs ${GUEST_PORT}`, options);
	// It ends with its sandbox only.
	server.wait().catch(listening.reject);
	await listening.promise;
}

/** Headers that name the server to whoever is asked in the sandbox's place. */
export function toGuest({ sandboxId }: Sandbox, port = GUEST_PORT): Record<string, string> {
	return { "e2b-sandbox-id": sandboxId, "e2b-sandbox-port": `${port}` };
}
