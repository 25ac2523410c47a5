/** The git helpers of the JavaScript client, with a server on the sandbox's loopback that wants a password. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { GitAuthError, GitUpstreamError, Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sdk } from "../support/sandboxes.ts";

const URL = "http://127.0.0.1:8418/project.git";
const LOGIN = { username: "ann", password: "secret" };

let sandbox: Sandbox;

beforeAll(async () => {
	sandbox = await Sandbox.create("base", sdk());
	await sandbox.files.write("git-server.py", await readFile(join(import.meta.dirname, "programs/git-server.py"), "utf8"));
	await sandbox.commands.run("git init -q --bare -b main srv/project.git && git -C srv/project.git config http.receivepack true");
	await sandbox.commands.run("python3 git-server.py ~/srv 8418", { background: true, timeoutMs: 0 });
	await sandbox.commands.run("while ! ss -Htln sport = :8418 | grep -q .; do sleep 0.05; done");
});

afterAll(() => sandbox?.kill());

test("a repository is made, filled, pushed, cloned, changed on a branch and pulled", async () => {
	const { git } = sandbox;
	await git.configureUser("Ann", "ann@example.com");
	expect(await git.getConfig("user.email")).toBe("ann@example.com");
	await git.init("work", { initialBranch: "main" });
	await sandbox.files.write("work/readme", "one\n");
	const before = await git.status("work");
	expect([before.isClean, before.hasUntracked, before.fileStatus.map(({ name }) => name)]).toEqual([false, true, ["readme"]]);
	await git.add("work", { files: ["readme"] });
	expect(await git.status("work")).toMatchObject({ hasStaged: true, currentBranch: "main" });
	await git.commit("work", "first");

	await git.remoteAdd("work", "origin", URL);
	expect(await git.remoteGet("work", "origin")).toBe(URL);
	await expect(git.pull("work")).rejects.toThrow(GitUpstreamError);
	await expect(git.push("work", { remote: "origin", branch: "main" })).rejects.toThrow(GitAuthError);
	await git.push("work", { remote: "origin", branch: "main", ...LOGIN });

	await expect(git.clone(URL, { path: "copy" })).rejects.toThrow(GitAuthError);
	await git.clone(URL, { path: "copy", branch: "main", depth: 1, ...LOGIN });
	expect(await sandbox.files.read("copy/readme")).toBe("one\n");
	// The password is not left behind.
	expect(await git.remoteGet("copy", "origin")).toBe(URL);

	await git.createBranch("copy", "topic");
	await sandbox.files.write("copy/readme", "two\n");
	await git.add("copy");
	await git.commit("copy", "second", { authorName: "Bob", authorEmail: "bob@example.com" });
	expect(await git.branches("copy")).toEqual({ branches: ["main", "topic"], currentBranch: "topic" });
	await git.checkoutBranch("copy", "main");
	await sandbox.commands.run("git -C copy merge -q topic");
	expect(await git.status("copy")).toMatchObject({ ahead: 1, isClean: true });
	await git.deleteBranch("copy", "topic");
	await git.push("copy", LOGIN);

	await git.pull("work", LOGIN);
	expect(await sandbox.files.read("work/readme")).toBe("two\n");
	expect((await sandbox.commands.run("git -C work log --format='%an %s'")).stdout).toBe("Bob second\nAnn first\n");
});

test("changes are taken back: from the stage, from the files, from the history", async () => {
	const { git } = sandbox;
	await git.init("undo");
	for (const text of ["one", "two"]) {
		await sandbox.files.write("undo/file", text);
		await git.add("undo");
		await git.commit("undo", text, { authorName: "Ann", authorEmail: "ann@example.com" });
	}
	await sandbox.files.write("undo/file", "three");
	await git.add("undo");
	await git.restore("undo", { paths: ["file"], staged: true });
	expect((await git.status("undo")).hasStaged).toBe(false);
	await git.restore("undo", { paths: ["file"] });
	expect(await sandbox.files.read("undo/file")).toBe("two");
	await git.reset("undo", { mode: "hard", target: "HEAD~1" });
	expect(await sandbox.files.read("undo/file")).toBe("one");
	await git.setConfig("pull.rebase", "true", { scope: "local", path: "undo" });
	expect(await git.getConfig("pull.rebase", { scope: "local", path: "undo" })).toBe("true");
	expect(await git.getConfig("not.set")).toBeUndefined();
});

test("a login that is kept on purpose serves every later call", async () => {
	const { git } = sandbox;
	await git.dangerouslyAuthenticate({ ...LOGIN, host: "127.0.0.1:8418", protocol: "http" });
	await git.clone(URL, { path: "with-kept-login" });
	expect(await sandbox.files.exists("with-kept-login/readme")).toBe(true);
});
