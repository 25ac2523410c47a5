import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { HOST_PATHS, moveAptPaths, moveHostPaths, parsePipConfig, readHostNetwork } from "./host-network.ts";

test("of a pip configuration only what says how to reach an index is taken", () => {
	const text = `
# a comment
[global]
index-url = https://mirror.example/simple
user = true
trusted-host =
    mirror.example
    other.example
[install]
no-index: yes
[wheel]
proxy = http://not.this.one
`;
	expect(parsePipConfig(text)).toEqual({
		PIP_INDEX_URL: "https://mirror.example/simple",
		PIP_TRUSTED_HOST: "mirror.example other.example",
		PIP_NO_INDEX: "yes",
	});
});

test("paths of this machine are moved to where a step sees them; everything else stays", () => {
	expect(moveHostPaths({ PIP_FIND_LINKS: "/etc /does/not/exist https://x/y", http_proxy: "http://proxy:3128" })).toEqual({
		env: { PIP_FIND_LINKS: `${HOST_PATHS}/etc /does/not/exist https://x/y`, http_proxy: "http://proxy:3128" },
		paths: ["/etc"],
	});
});

test("paths in apt's settings are moved as well", () => {
	const settings = 'Acquire::https::CAInfo "/etc/hosts";\nAcquire::http::Proxy "http://p:3128";\nAcquire::x "/does/not/exist";';
	expect(moveAptPaths(settings)).toEqual({
		settings: settings.replace("/etc/hosts", `${HOST_PATHS}/etc/hosts`),
		paths: ["/etc/hosts"],
	});
});

test("the environment wins over pip's files, and other variables stay outside", async () => {
	const home = await mkdtemp(join(tmpdir(), "offshoot-home-"));
	try {
		await writeFile(join(home, "pip.conf"), "[global]\ntimeout = 7\nretries = 9\n");
		const env = {
			HOME: home,
			PIP_CONFIG_FILE: join(home, "pip.conf"),
			PIP_TIMEOUT: "8",
			PIP_USER: "1",
			HTTPS_PROXY: "http://p",
			SECRET: "s",
		};
		const network = await readHostNetwork(env);
		expect(network.env).toMatchObject({ PIP_TIMEOUT: "8", PIP_RETRIES: "9", HTTPS_PROXY: "http://p" });
		expect(Object.keys(network.env)).not.toEqual(expect.arrayContaining(["PIP_USER"]));
		expect(network.env).not.toHaveProperty("SECRET");
	} finally {
		await rm(home, { recursive: true });
	}
});
