import type { TestProject } from "vitest/node";
import { startTestServer, sweepTestServers } from "./server.ts";

/** One server for all test files that do not kill it; files that do start their own. */
declare module "vitest" {
	export interface ProvidedContext {
		server: {
			readonly dataDir: string;
			readonly url: string;
			readonly sdk: { readonly apiKey: string; readonly apiUrl: string; readonly sandboxUrl: string };
			readonly env: Readonly<Record<string, string>>;
		};
	}
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	await sweepTestServers();
	const server = await startTestServer();
	project.provide("server", { dataDir: server.dataDir, url: server.url, sdk: server.sdk, env: server.env });
	return () => server.destroy();
}
