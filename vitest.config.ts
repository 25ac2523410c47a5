import { defineConfig } from "vitest/config";

/**
 * A busy machine in CI can stand still for seconds, and a client in a test then gives up. A defect fails twice; campaigns
 * of random operations, where it may not, refuse this.
 */
const retry = process.env.CI === "true" ? 1 : 0;

/** What a test waits for comes at once on a quiet machine. */
const expect = { poll: { timeout: 15_000 } };

export default defineConfig({
	test: {
		projects: [
			{
				test: {
					name: "unit",
					include: ["src/**/*.test.ts", "guest/**/*.test.ts", "docs/*.test.ts"],
					testTimeout: 60_000,
					retry,
					expect,
				},
			},
			{
				// Needs root, ip and nft, but neither engine nor server.
				test: {
					name: "network",
					include: ["tests/network/**/*.test.ts"],
					testTimeout: 60_000,
					hookTimeout: 60_000,
					retry,
					expect,
				},
			},
			{
				test: {
					name: "engine",
					include: ["tests/**/*.test.ts"],
					exclude: ["tests/network/**"],
					globalSetup: ["tests/support/shared-server.ts"],
					// Most of their time they wait, for ends, time limits and restarts; vitest's own choice leaves a core idle.
					maxWorkers: 2,
					testTimeout: 180_000,
					retry,
					expect,
					hookTimeout: 300_000,
				},
			},
		],
	},
});
