import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { networkFileSystem } from "./mounts.ts";

let directory: string;
let table: string;

beforeEach(async () => {
	directory = await realpath(await mkdtemp(join(tmpdir(), "offshoot-mounts-")));
	table = join(directory, "mounts");
	for (const name of ["share/below", "share/local", "share-too", "with space"])
		await mkdir(join(directory, name), { recursive: true });
	await symlink("share/below", join(directory, "link"));
});

afterEach(() => rm(directory, { recursive: true }));

test.each(["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse"])(
	"what lies on %s is found out, also through a link",
	async (type) => {
		const lines = [
			"overlay / overlay rw 0 0",
			`server:/x ${directory}/share ${type} rw 0 0`,
			`/dev/sda1 ${directory}/share/local ext4 rw 0 0`,
			`server:/y ${directory}/with\\040space ${type} rw 0 0`,
		];
		await writeFile(table, lines.join("\n"));
		const found = (name: string) => networkFileSystem(join(directory, name), table);
		expect(await Promise.all(["share", "share/below", "link", "with space"].map(found))).toEqual([type, type, type, type]);
		expect(await Promise.all(["share/local", "share-too", "."].map(found))).toEqual([undefined, undefined, undefined]);
	},
);

test.each(["ext4", "overlay", "tmpfs", "9p"])("%s is none", async (type) => {
	await writeFile(table, `x ${directory}/share ${type} rw 0 0\n`);
	expect(await networkFileSystem(join(directory, "share"), table)).toBeUndefined();
});
