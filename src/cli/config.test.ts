import { describe, expect, test } from "vitest";
import { mistypedSettings, readConfig, SETTINGS } from "./config.ts";

const root = { uid: 0, home: "/root" };
const ann = { uid: 1000, home: "/home/ann" };

describe("readConfig", () => {
	test("without settings it listens on this machine only and uses the system's directories", () => {
		expect(readConfig({}, root)).toEqual({
			dataDir: "/var/lib/offshoot",
			cacheDir: "/var/cache/offshoot",
			bind: "127.0.0.1",
			port: 4983,
			domain: undefined,
			allowCidrs: [],
			tls: undefined,
			logLevel: "info",
			runscPath: undefined,
			runscUrl: undefined,
		});
	});

	test("the operator's ranges are a list of IPv4 CIDRs", () => {
		expect(readConfig({ OFFSHOOT_ALLOW_CIDRS: "10.1.0.0/16, 192.168.7.9/32" }, root).allowCidrs).toEqual([
			"10.1.0.0/16",
			"192.168.7.9/32",
		]);
		for (const text of ["10.1.0.0", "10.1.0.0/33", "10.1.0.0/16/8", "fd00::/8", "10.1.0.0/16,"]) {
			expect(() => readConfig({ OFFSHOOT_ALLOW_CIDRS: text }, root), text).toThrow("OFFSHOOT_ALLOW_CIDRS");
		}
	});

	test("TLS has a port of its own, and a certificate its key", () => {
		expect(readConfig({ OFFSHOOT_TLS_PORT: "8443" }, root).tls).toEqual({ port: 8443, files: undefined });
		const files = { OFFSHOOT_TLS_CERT: "/c.pem", OFFSHOOT_TLS_KEY: "/k.pem" };
		expect(readConfig({ OFFSHOOT_TLS_PORT: "8443", ...files }, root).tls?.files).toEqual({ cert: "/c.pem", key: "/k.pem" });
		expect(() => readConfig({ OFFSHOOT_TLS_PORT: "4983" }, root)).toThrow("taken by the plain listener");
		expect(() => readConfig({ OFFSHOOT_TLS_PORT: "1", OFFSHOOT_TLS_CERT: "/c.pem" }, root)).toThrow("need each other");
		expect(() => readConfig(files, root)).toThrow("without OFFSHOOT_TLS_PORT");
	});

	test("someone else than root caches at home", () => {
		expect(readConfig({}, ann).cacheDir).toBe("/home/ann/.cache/offshoot");
		expect(readConfig({ XDG_CACHE_HOME: "/tmp/x" }, ann).cacheDir).toBe("/tmp/x/offshoot");
	});

	test("an empty variable counts as not set", () => {
		expect(readConfig({ OFFSHOOT_PORT: "", OFFSHOOT_BIND: "" }, root)).toEqual(readConfig({}, root));
	});

	test.each([
		["OFFSHOOT_PORT", "0"],
		["OFFSHOOT_PORT", "65536"],
		["OFFSHOOT_PORT", "80a"],
		["OFFSHOOT_PORT", "1e3"],
		["OFFSHOOT_BIND", "localhost"],
		["OFFSHOOT_BIND", "127.0.0.1:80"],
		["OFFSHOOT_DOMAIN", "https://a.test"],
		["OFFSHOOT_LOG_LEVEL", "verbose"],
		["OFFSHOOT_RUNSC_URL", "ftp://a.test/x"],
	])("%s=%s is refused by name", (name, value) => {
		expect(() => readConfig({ [name]: value }, root)).toThrow(`${name}=${value} is not`);
	});

	test("all mistakes are told at once", () => {
		const mistakes = { OFFSHOOT_PORT: "x", OFFSHOOT_BIND: "y" };
		expect(() => readConfig(mistakes, root)).toThrow(/OFFSHOOT_BIND[\s\S]*OFFSHOOT_PORT/);
	});

	test("every setting that is read is documented, and the other way round", () => {
		const asked = new Set<string>();
		const env = new Proxy<NodeJS.ProcessEnv>(
			{},
			{
				get: (_target, name) => {
					if (typeof name === "string" && name.startsWith("OFFSHOOT_")) asked.add(name);
					return undefined;
				},
			},
		);
		readConfig(env, root);
		expect([...asked].sort()).toEqual(SETTINGS.map(({ name }) => name).sort());
	});
});

test.each([
	["OFFSHOOT_DATADIR", "OFFSHOOT_DATA_DIR"],
	["OFFSHOOT_PROT", "OFFSHOOT_PORT"],
	["OFFSHOOT_RUNSC_ULR", "OFFSHOOT_RUNSC_URL"],
	["OFFSHOOT_ALLOWED_CIDRS", "OFFSHOOT_ALLOW_CIDRS"],
	["OFFSHOOT_EVERYTHING_FASTER", undefined],
])("%s is no setting, and %s is what was meant", (name, nearest) => {
	expect(mistypedSettings({ [name]: "x", HOME: "/", OFFSHOOT_PORT: "1", OFFSHOOT_TEST_LONG: "1" })).toEqual([{ name, nearest }]);
});
