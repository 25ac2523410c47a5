import { Sandbox } from "e2b";
import { expect, test } from "vitest";
import { deleteAtEnd, newSandbox, sdk } from "../support/sandboxes.ts";

/** A start waits for the agent's whole time: only in long runs. */
test.runIf(process.env.OFFSHOOT_TEST_LONG === "1")(
	"a snapshot whose guest agent stands still ends its starts with a reason, and harms nothing else",
	async () => {
		const source = await newSandbox();
		const stop = "sudo sh -c 'sleep 0.3; kill -STOP $(pgrep -f offshoot-agentd)' >/dev/null 2>&1 &";
		await source.commands.run(stop);
		await new Promise((resolve) => setTimeout(resolve, 1_000));
		const { snapshotId } = await source.createSnapshot();
		await expect(Sandbox.create(deleteAtEnd(snapshotId), { ...sdk(), requestTimeoutMs: 120_000 })).rejects.toThrow(
			/504: .*guest agent did not take its initialisation.*start from another snapshot/,
		);
		expect((await (await newSandbox()).commands.run("echo well")).stdout).toBe("well\n");
	},
	180_000,
);
