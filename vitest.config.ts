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
				test: {
					name: "engine",
					include: ["tests/**/*.test.ts"],
					globalSetup: ["tests/support/shared-server.ts"],
					testTimeout: 180_000,
					hookTimeout: 300_000,
				},
			},
		],
	},
});
