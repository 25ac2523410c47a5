import { Sandbox as CodeSandbox } from "@e2b/code-interpreter";
import { Sandbox } from "e2b";
import { inject, onTestFinished } from "vitest";

/** Connection options for the shared server. */
export function sdk(): { apiKey: string; apiUrl: string; sandboxUrl: string } {
	return inject("server").sdk;
}

/** Kills the sandbox when the test ends; one that is gone already is fine. */
export function killAtEnd<T extends { kill(): Promise<unknown> }>(sandbox: T): T {
	onTestFinished(async () => {
		await sandbox.kill();
	});
	return sandbox;
}

/** A `base` sandbox (or one from a snapshot id) that ends with the test. */
export async function newSandbox(template = "base", options: Record<string, unknown> = {}): Promise<Sandbox> {
	return killAtEnd(await Sandbox.create(template, { ...sdk(), ...options }));
}

/** A code-interpreter sandbox (or one from a snapshot id) that ends with the test. */
export async function newCodeSandbox(template?: string, options: Record<string, unknown> = {}): Promise<CodeSandbox> {
	const all = { ...sdk(), ...options };
	return killAtEnd(template === undefined ? await CodeSandbox.create(all) : await CodeSandbox.create(template, all));
}

/** Deletes the snapshot when the test ends: after the sandboxes made from it, which were registered later. */
export function deleteAtEnd(snapshotId: string): string {
	onTestFinished(async () => {
		await Sandbox.deleteSnapshot(snapshotId, sdk());
	});
	return snapshotId;
}

/** Waits until `check` holds, without a fixed sleep. @throws Error after `limitMs` */
export async function until(what: string, check: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
	const end = Date.now() + limitMs;
	while (!(await check())) {
		if (Date.now() > end) throw new Error(`waited ${limitMs} ms for: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}
