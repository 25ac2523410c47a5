import { expect, test } from "vitest";
import { CommandError } from "../../engine/index.ts";
import { runStep } from "./steps.ts";

function attempts(failures: readonly Error[]) {
	const left = [...failures];
	const lines: string[] = [];
	const step = {
		name: "base: install",
		attempt: async () => {
			const failure = left.shift();
			if (failure) throw failure;
			return "made";
		},
		onProgress: (line: string) => lines.push(line),
		signal: new AbortController().signal,
		retryAfterMs: [0, 0],
	};
	return { step, lines, left };
}

function failure(output: string): CommandError {
	return new CommandError(`apt-get exited with 100:\n${output}`, 100, output);
}

const network = failure("Temporary failure resolving 'deb.example'");
const permanent = failure("E: Unable to locate package nothing");

test("a step that the network failed is tried again, and says so", async () => {
	const { step, lines } = attempts([network, network]);
	expect(await runStep(step)).toBe("made");
	expect(lines.filter((line) => line.includes("Temporary failure resolving"))).toHaveLength(2);
});

test("a step that fails for another reason is not repeated; its error names it and shows the last words", async () => {
	const { step, left } = attempts([permanent, permanent]);
	await expect(runStep(step)).rejects.toMatchObject({
		name: "OffshootError",
		message: expect.stringMatching(/"base: install" failed: apt-get exited with 100[\s\S]*Unable to locate package nothing/),
	});
	expect(left).toHaveLength(1);
});

test("a network that stays down ends the step with advice about the network", async () => {
	const { step } = attempts([network, network, network]);
	await expect(runStep(step)).rejects.toThrow(/Check the network, proxy and certificate settings/);
});

test("an aborted step throws the signal's reason", async () => {
	const { step } = attempts([network]);
	const reason = new Error("interrupted");
	await expect(runStep({ ...step, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
