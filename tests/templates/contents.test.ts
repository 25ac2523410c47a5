import { expect, test } from "vitest";
import { newCodeSandbox, newSandbox } from "../support/sandboxes.ts";
import { BASE, CODE_INTERPRETER, type Promised } from "./promises.ts";

type Commands = Awaited<ReturnType<typeof newSandbox>>["commands"];

async function check(commands: Commands, { what, command, prints }: Promised): Promise<void> {
	const { stdout } = await commands.run(command);
	expect.soft(stdout, what).toMatch(prints);
}

test("a base sandbox has what the template promises", async () => {
	const sandbox = await newSandbox("base");
	for (const promised of BASE) await check(sandbox.commands, promised);
});

test("a code-interpreter sandbox has what base has, and its libraries", async () => {
	const sandbox = await newCodeSandbox();
	for (const promised of [...BASE, ...CODE_INTERPRETER]) await check(sandbox.commands, promised);
});
