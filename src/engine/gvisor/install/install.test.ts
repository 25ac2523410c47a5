import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { judgeGo } from "./go-toolchain.ts";
import { findRunsc, obtainRunsc } from "./index.ts";
import { judgeVersion, MODULE_VERSION } from "./version.ts";

const signal = AbortSignal.timeout(60_000);
const RELEASE = "release-20260907.0";
let dir: string;
let releases: ReleaseServer;

beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "offshoot-install-"));
	releases = await ReleaseServer.start();
});

afterEach(async () => {
	await releases.stop();
	await rm(dir, { recursive: true, force: true });
});

describe("version", () => {
	test.each([
		["runsc version release-20260907.0\nspec: 1.2.1\n", "release"],
		["runsc version release-20270101.2\n", "release"],
		[`runsc version ${MODULE_VERSION}\n`, "module"],
		[`runsc version ${MODULE_VERSION}-b\n`, "module"],
		["runsc version release-20260831.0\n", "refused"],
		["runsc version VERSION_MISSING\n", "refused"],
		["runsc version 0.0~20221219.0-2\n", "refused"],
		["runsc version offshoot-20200101\n", "refused"],
		["bash: runsc: not found\n", "refused"],
	])("%j is judged %s", (output, kind) => {
		expect(judgeVersion(output).kind).toBe(kind);
	});

	test.each([
		["go1.26.3", "local", true],
		["go1.27", "local", true],
		["go1.26.2", "auto", true],
		["go1.26.2", "local", false],
		["go1.19.8", "auto", false],
		["", "", false],
	])("Go %s with GOTOOLCHAIN=%s builds runsc: %s", (version, policy, fit) => {
		expect(judgeGo(version, policy) === undefined).toBe(fit);
	});
});

describe("a runsc that is there already", () => {
	test("the operator's choice comes first and is described whole", async () => {
		const path = await fakeRunsc(join(dir, "own"), MODULE_VERSION);
		const runsc = await obtain({ runscPath: path });
		expect(runsc).toEqual({
			path,
			version: MODULE_VERSION,
			sha256: createHash("sha256")
				.update(await readFile(path))
				.digest("hex"),
			extraFlags: ["--sidecar-usage-policy=LEGACY_DEPRECATED_SLOW_EMBEDDED_FALLBACK"],
		});
		expect(releases.requests).toEqual([]);
	});

	test("an unusable choice is an error, even when another way would work", async () => {
		await releases.publish(RELEASE);
		const path = await fakeRunsc(join(dir, "own"), "VERSION_MISSING");
		await expect(obtain({ runscPath: path })).rejects.toThrow(/VERSION|version string.*FIX:/s);
	});

	test("an installed release with its sidecars is used without extra flags", async () => {
		const path = await fakeRunsc(join(dir, "usr/bin"), RELEASE);
		await mkdir(join(dir, "usr/bin/gvisor-bin"));
		expect(await obtain({ searchPath: `/nowhere:${join(dir, "usr/bin")}` })).toMatchObject({ path, extraFlags: [] });
	});

	test.each([
		["without its sidecars", RELEASE, /gvisor-bin/],
		["of a distribution", "0.0~20240729.0-4", /distributions/],
	])("an installed one %s is passed over with the reason", async (_what, version, reason) => {
		await fakeRunsc(join(dir, "usr/bin"), version);
		const search = await findRunsc({ cacheDir: join(dir, "cache"), searchPath: join(dir, "usr/bin") }, signal);
		expect(search.runsc).toBeUndefined();
		expect(search.refusals.join()).toMatch(reason);
	});
});

describe("release", () => {
	test("is downloaded, checked and kept, and found again without the network", async () => {
		await releases.publish(RELEASE);
		const runsc = await obtain();
		expect(runsc).toMatchObject({ version: RELEASE, extraFlags: [] });
		expect(runsc.path).toBe(join(dir, "cache/runsc", `${RELEASE}-${runsc.sha256.slice(0, 12)}`, "runsc"));
		expect((await stat(join(runsc.path, "..", "gvisor-bin"))).isDirectory()).toBe(true);
		// runsc starts itself again as nobody.
		expect((await stat(join(runsc.path, ".."))).mode & 0o777).toBe(0o755);

		const asked = releases.requests.length;
		expect(await obtain()).toEqual(runsc);
		expect(releases.requests.length).toBe(asked);
		expect((await readdir(join(dir, "cache/runsc"))).filter((name) => name.startsWith(".staging"))).toEqual([]);
	});

	test("with a wrong checksum is refused and nothing of it stays", async () => {
		await releases.publish(RELEASE);
		releases.files.set("/gvisor.tar.bz2.sha512", Buffer.from(`${"0".repeat(128)}  gvisor.tar.bz2\n`));
		await expect(obtain()).rejects.toThrow(/does not match the checksum/);
		expect((await readdir(join(dir, "cache/runsc"))).filter((name) => name !== ".lock")).toEqual([]);
	});

	test("that is too old is refused though its checksum is right", async () => {
		await releases.publish("release-20250101.0");
		await expect(obtain()).rejects.toThrow(/older than release-20260907.*FIX:/s);
	});

	test("is fetched once when several processes need it at the same time", async () => {
		await releases.publish(RELEASE);
		const all = await Promise.all([obtain(), obtain(), obtain()]);
		expect(new Set(all.map((runsc) => runsc.path)).size).toBe(1);
		expect(releases.requests.filter((url) => url.endsWith(".bz2"))).toHaveLength(1);
	});

	test("a cached one whose bytes changed is not used", async () => {
		await releases.publish(RELEASE);
		const runsc = await obtain();
		await writeFile(runsc.path, `${await readFile(runsc.path, "utf8")}\n# changed\n`);
		const search = await findRunsc({ cacheDir: join(dir, "cache"), searchPath: "" }, signal);
		expect(search.runsc).toBeUndefined();
	});

	test("abort ends a download and leaves nothing behind", async () => {
		await releases.publish(RELEASE);
		releases.stallAt = "/gvisor.tar.bz2";
		const controller = new AbortController();
		const waiting = obtainRunsc(
			{ ...options(), onProgress: (message) => message.startsWith("downloading") && controller.abort() },
			controller.signal,
		);
		await expect(waiting).rejects.toThrow(/abort/i);
		expect((await readdir(join(dir, "cache/runsc"))).filter((name) => name !== ".lock")).toEqual([]);
	});
});

describe("build", () => {
	test("follows when no release can be reached, with the pinned version and the right Go environment", async () => {
		const tools = await fakeGo(join(dir, "go"));
		const messages: string[] = [];
		const url = "http://127.0.0.1:1";
		const runsc = await withPath(tools, () =>
			obtainRunsc({ ...options(), releaseUrl: url, onProgress: (message) => messages.push(message) }, signal),
		);
		expect(runsc).toMatchObject({ version: MODULE_VERSION, extraFlags: [expect.stringContaining("sidecar-usage-policy")] });
		expect(messages.join("\n")).toMatch(/no release: http:\/\/127\.0\.0\.1:1.*cannot be reached/);
		expect(messages.join("\n")).toContain("CGO_ENABLED=0 GOFLAGS=-mod=readonly -modcacherw");
	});
});

function options() {
	return { cacheDir: join(dir, "cache"), searchPath: "", releaseUrl: releases.url, onProgress: () => {} };
}

function obtain(more: { runscPath?: string; searchPath?: string } = {}) {
	return obtainRunsc({ ...options(), ...more }, signal);
}

/** A stand-in that answers `--version` as a runsc of this version does. */
async function fakeRunsc(directory: string, version: string): Promise<string> {
	await mkdir(directory, { recursive: true });
	const path = join(directory, "runsc");
	await writeFile(path, `#!/bin/sh\necho 'runsc version ${version}'\necho 'spec: 1.2.1'\n`);
	await chmod(path, 0o755);
	return path;
}

/** A `go` that writes a stand-in runsc where the real one would write its output. */
async function fakeGo(directory: string): Promise<string> {
	await mkdir(directory, { recursive: true });
	const script = `#!/bin/sh
if [ "$1" = env ]; then echo go1.26.3; echo local; exit 0; fi
if [ "$1" = mod ]; then exit 0; fi
grep -q 'gvisor.dev/gvisor v0.0.0-20260905035102-160fafc42237' go.mod && [ -s go.sum ] || exit 3
case "$*" in *"-X gvisor.dev/gvisor/runsc/version.version=${MODULE_VERSION}"*) ;; *) exit 4 ;; esac
echo "CGO_ENABLED=$CGO_ENABLED GOFLAGS=$GOFLAGS" >&2
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho "runsc version ${MODULE_VERSION}"\\n' >"$2"
chmod +x "$2"
`;
	await writeFile(join(directory, "go"), script);
	await chmod(join(directory, "go"), 0o755);
	return directory;
}

async function withPath<T>(directory: string, work: () => Promise<T>): Promise<T> {
	const before = process.env.PATH;
	process.env.PATH = `${directory}:${before}`;
	try {
		return await work();
	} finally {
		process.env.PATH = before;
	}
}

/** Serves what a release directory holds. */
class ReleaseServer {
	readonly files = new Map<string, Buffer>();
	readonly requests: string[] = [];
	/** Path that is answered by half of its bytes and then silence. */
	stallAt: string | undefined;
	readonly url: string;
	readonly #server: Server;

	private constructor(server: Server, url: string) {
		this.#server = server;
		this.url = url;
	}

	static async start(): Promise<ReleaseServer> {
		const server = createServer();
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		if (address === null || typeof address === "string") throw new Error("no port");
		const self = new ReleaseServer(server, `http://127.0.0.1:${address.port}`);
		server.on("request", (request, response) => {
			const path = request.url ?? "";
			self.requests.push(path);
			const body = self.files.get(path);
			if (body === undefined) return response.writeHead(404).end();
			response.writeHead(200, { "content-length": body.length });
			if (self.stallAt === path) return response.write(body.subarray(0, body.length / 2));
			return response.end(body);
		});
		return self;
	}

	/** Makes a tarball as gVisor publishes it. */
	async publish(version: string): Promise<void> {
		const tree = await mkdtemp(join(tmpdir(), "offshoot-release-"));
		await fakeRunsc(join(tree, "content"), version);
		await mkdir(join(tree, "content/gvisor-bin"));
		await writeFile(join(tree, "content/gvisor-bin/sidecar"), "");
		await promisify(execFile)("tar", ["-cjf", join(tree, "gvisor.tar.bz2"), "-C", join(tree, "content"), "."]);
		const tarball = await readFile(join(tree, "gvisor.tar.bz2"));
		const digest = createHash("sha512").update(tarball).digest("hex");
		this.files.set("/gvisor.tar.bz2", tarball);
		this.files.set("/gvisor.tar.bz2.sha512", Buffer.from(`${digest}  gvisor.tar.bz2\n`));
		await rm(tree, { recursive: true });
	}

	async stop(): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}
