/** What the checks ask of the host. None of these changes it beyond the moment of the call. */
import { readdir, readFile, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { parseManifest } from "../../store/index.ts";
import type { CgroupFacts } from "./host-checks.ts";

export async function probeCgroups(): Promise<CgroupFacts> {
	const unified = await readFile("/sys/fs/cgroup/cgroup.controllers", "utf8").catch(() => undefined);
	if (unified !== undefined) return { version: 2, controllers: unified.trim().split(" ") };
	// Version 1 mounts each controller apart and names it in the mount's options.
	const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").map((line) => line.split(" "));
	const options = mounts.filter(([, , type]) => type === "cgroup").flatMap(([, , , options]) => options?.split(",") ?? []);
	return options.length > 0 ? { version: 1, controllers: options } : { version: undefined, controllers: [] };
}

/** Bytes free on the disk that holds `path`, or will hold it once it is made. */
export async function probeDisk(path: string): Promise<number> {
	const stats = await statfs(path).catch(() => undefined);
	if (stats !== undefined) return stats.bavail * stats.bsize;
	return path === dirname(path) ? 0 : probeDisk(dirname(path));
}

/** Code of the error that listening there gives; undefined when it works. */
export function probePort(bind: string, port: number): Promise<string | undefined> {
	const { promise, resolve } = Promise.withResolvers<string | undefined>();
	const server = createServer();
	server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
	server.listen({ host: bind, port, exclusive: true }, () => server.close(() => resolve(undefined)));
	return promise;
}

/** Names of the templates that have a published artifact. */
export async function probeTemplates(dataDir: string): Promise<readonly string[]> {
	const artifacts = join(dataDir, "artifacts");
	const names: string[] = [];
	for (const id of await readdir(artifacts).catch(() => [])) {
		const text = await readFile(join(artifacts, id, "manifest.json"), "utf8").catch(() => undefined);
		if (text === undefined) continue;
		const { kind, templateName } = parseManifest(text, join(artifacts, id, "manifest.json"));
		if (kind === "template" && templateName !== undefined) names.push(templateName);
	}
	return names;
}
