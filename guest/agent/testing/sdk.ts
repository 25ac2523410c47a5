import { Sandbox } from "e2b";
import type { TestAgent } from "./agent.ts";

/** The real SDK's view of an agent, without a control plane. */
export async function connectSdk(agent: TestAgent): Promise<Sandbox> {
	return await Sandbox.create({ debug: true, sandboxUrl: agent.url, apiKey: `e2b_${"0".repeat(40)}` });
}
