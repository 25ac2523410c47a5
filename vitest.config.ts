import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		projects: [
			{
				test: {
					name: "unit",
					include: ["src/**/*.test.ts", "guest/**/*.test.ts", "bench/**/*.test.ts"],
					testTimeout: 20_000,
				},
			},
			{
				// Needs root, ip and nft, but neither engine nor server.
				test: {
					name: "network",
					include: ["tests/network/**/*.test.ts"],
					testTimeout: 60_000,
					hookTimeout: 60_000,
				},
			},
			{
				test: {
					name: "engine",
					include: ["tests/**/*.test.ts"],
					exclude: ["tests/network/**"],
					globalSetup: ["tests/support/shared-server.ts"],
					testTimeout: 180_000,
					hookTimeout: 300_000,
				},
			},
		],
	},
});
