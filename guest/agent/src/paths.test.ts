import { expect, test } from "vitest";
import { resolvePath } from "./paths.ts";

const USER = { name: "user", uid: 1000, gid: 1000, home: "/home/user", groups: [1000] };

test.each([
	["", "/home/user"],
	["~", "/home/user"],
	["~/a/../b", "/home/user/b"],
	["a//b/", "/home/user/a/b"],
	["../../../etc/passwd", "/etc/passwd"],
	["/tmp/./x", "/tmp/x"],
])("%j becomes %s", (path, expected) => {
	expect(resolvePath(path, USER, undefined)).toBe(expected);
});

test("an empty path is the working directory if there is one", () => {
	expect(resolvePath("", USER, "~/work")).toBe("/home/user/work");
});

test.each(["~other/x", "~root", "a\0b"])("%j is refused", (path) => {
	expect(() => resolvePath(path, USER, undefined)).toThrow();
});
