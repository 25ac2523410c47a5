import { execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/**
 * The baseline: the same runsc binary on the same image, root filesystem and spec, driven by hand with nothing of
 * Offshoot around it, limits included.
 */
export interface RawRunsc {
	/** Restores the image in a fresh container; ms of `runsc restore`. The container before it is removed, not timed. */
	restore(): Promise<number>;
	/** Boots the root filesystem in a fresh container with nothing but a `sleep` in it. */
	bootSleep(): Promise<void>;
	/** Checkpoints the container of the last restore or boot, which goes on. */
	checkpoint(): Promise<RawCheckpoint>;
	close(): Promise<void>;
}

export interface RawCheckpoint {
	/** ms of the command alone */
	readonly commandMs: number;
	/** ms with the fsync of its files */
	readonly withFsyncMs: number;
	readonly imageBytes: number;
}

const execute = promisify(execFile);

export async function openRawRunsc(dataDir: string, artifactId: string): Promise<RawRunsc> {
	const artifact = join(dataDir, "artifacts", artifactId);
	const manifest = JSON.parse(await readFile(join(artifact, "manifest.json"), "utf8"));
	const spec = JSON.parse(await readFile(join(artifact, "spec.json"), "utf8"));
	const engineDir = join(dataDir, "engines", `${manifest.engine.version}-${manifest.engine.sha256.slice(0, 12)}`);
	const { extraFlags } = JSON.parse(await readFile(join(engineDir, "engine.json"), "utf8"));
	// On the data directory's disk: a checkpoint to another one would be another measurement.
	const dir = await mkdtemp(join(dataDir, "bench-"));
	const stateDir = await mkdtemp(join(tmpdir(), "offshoot-raw-"));
	const netns = `bench-${process.pid}`;
	for (const name of ["bundle", "sleep-bundle", "overlay"]) await mkdir(join(dir, name));

	const namespaces = spec.linux.namespaces.map((ns: { type: string }) =>
		ns.type === "network" ? { ...ns, path: `/run/netns/${netns}` } : ns,
	);
	const config = {
		...spec,
		root: { ...spec.root, path: join(dataDir, "rootfs", manifest.rootfs.id, "tree") },
		linux: { ...spec.linux, namespaces },
	};
	await writeFile(join(dir, "bundle/config.json"), JSON.stringify(config));
	const sleep = { ...config, process: { ...config.process, args: ["/bin/sleep", "infinity"] } };
	await writeFile(join(dir, "sleep-bundle/config.json"), JSON.stringify(sleep));

	const flags = [
		`--root=${stateDir}`,
		"--platform=systrap",
		"--network=sandbox",
		"--allow-suid",
		"--net-raw",
		"--ignore-cgroups",
		`--overlay2=root:dir=${join(dir, "overlay")},size=${manifest.resources.diskSizeMB}m`,
		...extraFlags,
	];
	let container = 0;
	let images = 0;

	const runsc = async (...args: string[]) => {
		const log = openSync(join(dir, "log"), "a");
		try {
			const child = spawn(join(engineDir, "runsc"), [...flags, ...args], { stdio: ["ignore", log, log] });
			const code = await new Promise<number | null>((resolve) => child.on("exit", resolve));
			if (code !== 0) throw new Error(`runsc ${args[0]}: ${(await readFile(join(dir, "log"), "utf8")).slice(-500)}`);
		} finally {
			closeSync(log);
		}
	};
	const remove = async () => {
		if (container > 0) await runsc("delete", "-force", `raw-${container}`);
	};
	const replace = async () => {
		await remove();
		container += 1;
		await execute("ip", ["netns", "del", netns]).catch(() => {});
		await newNamespace(netns);
	};

	return {
		async bootSleep() {
			await replace();
			await runsc("run", "-detach", `-bundle=${join(dir, "sleep-bundle")}`, `raw-${container}`);
		},
		async restore() {
			await replace();
			const started = performance.now();
			await runsc(
				"restore",
				"-detach",
				`-bundle=${join(dir, "bundle")}`,
				`-image-path=${join(artifact, "image")}`,
				`raw-${container}`,
			);
			return performance.now() - started;
		},
		async checkpoint() {
			const image = join(dir, `image-${images++}`);
			await mkdir(image);
			const started = performance.now();
			await runsc("checkpoint", "-leave-running", "-compression=none", `-image-path=${image}`, `raw-${container}`);
			const commandMs = performance.now() - started;
			const files = (await readdir(image)).map((name) => join(image, name));
			for (const file of files) await syncFile(file);
			const withFsyncMs = performance.now() - started;
			const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
			await rm(image, { recursive: true });
			return { commandMs, withFsyncMs, imageBytes: sizes.reduce((sum, size) => sum + size, 0) };
		},
		async close() {
			await remove();
			await execute("ip", ["netns", "del", netns]).catch(() => {});
			await execute("umount", [join(stateDir, "null-netns")]).catch(() => {});
			await rm(dir, { recursive: true, force: true });
			await rm(stateDir, { recursive: true, force: true });
		},
	};
}

async function syncFile(path: string): Promise<void> {
	const file = await open(path, "r");
	await file.sync();
	await file.close();
}

/** A namespace with the guest's interface, as engine and guest expect it; its peer leads nowhere. */
async function newNamespace(name: string): Promise<void> {
	await execute("ip", ["netns", "add", name]);
	const batch = [
		"link set lo up",
		"link add eth0 address 02:00:00:00:00:21 type veth peer name peer0",
		"link set peer0 up",
		"link set eth0 up",
		"addr add 169.254.0.21/30 dev eth0",
		"route add default via 169.254.0.22",
	];
	for (const line of batch) await execute("ip", ["-n", name, ...line.split(" ")]);
}
