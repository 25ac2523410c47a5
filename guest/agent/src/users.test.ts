import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Users } from "./users.ts";

let etc: string;

beforeEach(async () => {
	etc = await mkdtemp(join(tmpdir(), "offshoot-etc-"));
	await writeFile(join(etc, "passwd"), "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbroken\n");
	await writeFile(join(etc, "group"), "root:x:0:\nann:x:1001:\nsudo:x:27:ann,bob\ndocker:x:99:ann\n");
});

afterEach(() => rm(etc, { recursive: true }));

test("a user has the primary and the supplementary groups", () => {
	const user = new Users(etc).find("ann");
	expect(user).toEqual({ name: "ann", uid: 1000, gid: 1001, home: "/home/ann", groups: [1001, 27, 99] });
});

test("a user added later is found", async () => {
	const users = new Users(etc);
	expect(users.find("new")).toBeUndefined();
	await writeFile(join(etc, "passwd.new"), "new:x:7:7::/new:/bin/sh\n");
	await rename(join(etc, "passwd.new"), join(etc, "passwd"));
	expect(users.find("new")?.uid).toBe(7);
});

test("ids without a name are told as numbers", () => {
	const users = new Users(etc);
	expect([users.userName(1000), users.userName(4242), users.groupName(27), users.groupName(4242)]).toEqual([
		"ann",
		"4242",
		"sudo",
		"4242",
	]);
});

test("root is there without a user table", async () => {
	await rm(join(etc, "passwd"));
	expect(new Users(etc).find("root")?.uid).toBe(0);
});
