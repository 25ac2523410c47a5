import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OffshootError } from "../../protocol/index.ts";
import { formatResults } from "../commands/doctor.ts";
import { readConfig } from "../config.ts";
import { type Check, examine, type Finding, fail, ok, warn } from "./check.ts";
import { checkRunsc, checkTemplates } from "./engine-checks.ts";
import {
	checkCgroups,
	checkDisk,
	checkKernel,
	checkNode,
	checkPackages,
	checkPort,
	checkRoot,
	checkTrust,
} from "./host-checks.ts";
import { checkForwarding, checkNeeded } from "./network-checks.ts";
import { probeDisk, probePort, probeTemplates } from "./probes.ts";
import { hostChecks } from "./table.ts";

const signal = AbortSignal.timeout(60_000);
let dir: string;

beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "offshoot-doctor-"));
});

afterEach(async () => {
	await rm(dir, { recursive: true, force: true });
});

const port = { bind: "127.0.0.1", port: 4983, ownServer: undefined, error: undefined };
const runsc = { path: "/x/runsc", version: "release-20260907.0", sha256: "00", extraFlags: [] };

describe("every check", () => {
	const cases: readonly [string, Finding, Finding["status"], RegExp][] = [
		["root: root", checkRoot(0), "ok", /root/],
		["root: someone else", checkRoot(1000), "fail", /1000/],
		["kernel: newest", checkKernel("6.18.44-x"), "ok", /6\.18/],
		["kernel: just new enough", checkKernel("5.16.0"), "ok", /5\.16/],
		["kernel: just too old", checkKernel("5.15.99-generic"), "fail", /older than 5\.16/],
		["kernel: unreadable", checkKernel("?"), "fail", /older/],
		["node: new enough", checkNode("v24.0.0"), "ok", /v24/],
		["node: too old", checkNode("v22.18.0"), "fail", /v22\.18\.0/],
		["packages: there", checkPackages([], ""), "ok", /all/],
		["packages: missing", checkPackages(["nftables"], "apt-get install nftables"), "fail", /nftables/],
		["trust store: there", checkTrust("/etc/x.crt"), "ok", /what \/etc\/x\.crt does/],
		["trust store: missing", checkTrust(undefined), "warn", /over HTTPS/],
		["network: works", checkNeeded({ ok: true, detail: "it works" }), "ok", /it works/],
		["network: refused", checkNeeded({ ok: false, detail: "not permitted", fix: "be root" }), "fail", /not permitted/],
		["forward: open", checkForwarding({ ok: true, detail: "nothing drops" }), "ok", /nothing drops/],
		["forward: dropped", checkForwarding({ ok: false, detail: "all drop", fix: "open it" }), "warn", /all drop; .*no internet/],
		["cgroups: v2 whole", checkCgroups({ version: 2, controllers: ["cpu", "io", "memory", "pids"] }), "ok", /v2/],
		["cgroups: v1 lacks one", checkCgroups({ version: 1, controllers: ["cpu", "pids"] }), "warn", /v1 lacks memory/],
		["cgroups: none", checkCgroups({ version: undefined, controllers: [] }), "warn", /no cgroup/],
		["disk: plenty", checkDisk("/d", 100e9), "ok", /100\.0 GB/],
		["disk: little", checkDisk("/d", 10e9), "warn", /few snapshots/],
		["disk: too little", checkDisk("/d", 1e9), "fail", /needed/],
		["port: free", checkPort(port), "ok", /free/],
		["port: our own server", checkPort({ ...port, ownServer: 7, error: "EADDRINUSE" }), "ok", /process 7/],
		["port: taken", checkPort({ ...port, error: "EADDRINUSE" }), "fail", /another program/],
		["port: no such address", checkPort({ ...port, bind: "9.9.9.9", error: "EADDRNOTAVAIL" }), "fail", /no address/],
		["runsc: usable", checkRunsc({ runsc, refusals: [] }), "ok", /release-20260907/],
		["runsc: unusable", checkRunsc({ runsc: undefined, refusals: ["/usr/bin/runsc is too old"] }), "fail", /too old/],
		["templates: built", checkTemplates(["base", "code-interpreter-v1"]), "ok", /base/],
		["templates: one missing", checkTemplates(["base"]), "warn", /code-interpreter-v1/],
	];
	test.each(cases)("%s", (_name, finding, status, reason) => {
		expect(finding.status).toBe(status);
		expect(finding.reason).toMatch(reason);
		if (finding.status !== "ok") expect(finding.fix).not.toBe("");
	});

	test("of the table has an id of its own", () => {
		const ids = hostChecks(readConfig({})).map(({ id }) => id);
		expect(new Set(ids).size).toBe(ids.length);
	});
});

describe("examine", () => {
	const check = (id: string, look: Check["look"]): Check => ({ id, title: id, look });

	test("a probe that breaks fails its own check and stops no other", async () => {
		const results = await examine(
			[
				check("a", async () => {
					throw new OffshootError("invalid_request", "it is broken. FIX: mend it");
				}),
				check("b", async () => ok("fine")),
			],
			signal,
		);
		expect(results.map(({ finding }) => finding)).toEqual([fail("it is broken", "mend it"), ok("fine")]);
	});

	test("the report has a FIX line for everything that is not ok", () => {
		const results = [
			{ id: "a", title: "first", finding: ok("good") },
			{ id: "b", title: "second", finding: warn("so so", "do this") },
			{ id: "c", title: "third", finding: fail("bad", "do that") },
		];
		const report = formatResults(results, process.stderr).split("\n");
		expect(report.filter((line) => line.includes("FIX:")).map((line) => line.trim())).toEqual(["FIX: do this", "FIX: do that"]);
		expect(report.at(-2)).toBe("1 ok, 1 warnings, 1 failed");
	});
});

describe("probes", () => {
	test("a port in use is told from a free one", async () => {
		const server = createServer();
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		if (address === null || typeof address === "string") throw new Error("no port");
		expect(await probePort("127.0.0.1", address.port)).toBe("EADDRINUSE");
		await new Promise((resolve) => server.close(resolve));
		expect(await probePort("127.0.0.1", address.port)).toBeUndefined();
	});

	test("the disk of a directory that is still to be made is its parent's", async () => {
		expect(await probeDisk(join(dir, "not/yet/there"))).toBeGreaterThan(0);
	});

	test("no artifacts mean no templates", async () => {
		await mkdir(join(dir, "artifacts/.staging"), { recursive: true });
		await writeFile(join(dir, "artifacts/.staging/file"), "");
		expect(await probeTemplates(dir)).toEqual([]);
	});
});
