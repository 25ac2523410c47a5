/** What is told of a file. Source of the rules: E2B wire protocol. */

import type { BigIntStats } from "node:fs";
import { lstat, realpath, stat } from "node:fs/promises";
import { posix } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type EntryInfoSchema, FileType } from "../../../../src/protocol/gen/filesystem_pb.js";
import type { Sysd } from "../sysd/sysd.ts";
import type { Users } from "../users.ts";

export type EntryInfo = MessageInitShape<typeof EntryInfoSchema>;

const NS_PER_S = 1_000_000_000n;

export class Entries {
	private readonly users: Users;
	private readonly sysd: Sysd;

	constructor(users: Users, sysd: Sysd) {
		this.users = users;
		this.sysd = sysd;
	}

	/** @throws errno errors */
	async read(path: string): Promise<EntryInfo> {
		const [entry, [metadata]] = await Promise.all([this.describe(path), this.sysd.attributes([path])]);
		return { ...entry, metadata: metadata ?? {} };
	}

	/** Those of the paths that still exist, in their order. */
	async readAll(paths: readonly string[]): Promise<readonly EntryInfo[]> {
		const [entries, metadata] = await Promise.all([
			Promise.all(paths.map((path) => this.describe(path).catch(() => undefined))),
			this.sysd.attributes(paths),
		]);
		return entries.flatMap((entry, index) => (entry === undefined ? [] : [{ ...entry, metadata: metadata[index] ?? {} }]));
	}

	private async describe(path: string): Promise<EntryInfo> {
		const stats = await lstat(path, { bigint: true });
		const link = stats.isSymbolicLink() ? await followLink(path) : undefined;
		const mode = Number(stats.mode);
		return {
			name: posix.basename(path) || "/",
			path,
			type: link === undefined ? typeOf(stats) : link.type,
			size: stats.size,
			mode: mode & 0o777,
			permissions: permissions(mode),
			owner: this.users.userName(Number(stats.uid)),
			group: this.users.groupName(Number(stats.gid)),
			modifiedTime: { seconds: stats.mtimeNs / NS_PER_S, nanos: Number(stats.mtimeNs % NS_PER_S) },
			...(link?.target === undefined ? {} : { symlinkTarget: link.target }),
		};
	}
}

async function followLink(path: string): Promise<{ type: FileType; target: string | undefined }> {
	try {
		const target = await realpath(path);
		return { type: typeOf(await stat(target, { bigint: true })), target };
	} catch {
		return { type: FileType.SYMLINK, target: undefined };
	}
}

function typeOf(stats: BigIntStats): FileType {
	if (stats.isFile()) return FileType.FILE;
	if (stats.isDirectory()) return FileType.DIRECTORY;
	if (stats.isSymbolicLink()) return FileType.SYMLINK;
	return FileType.UNSPECIFIED;
}

/** Letters before the nine permission letters, by file type (stat(2)), as Go's os.FileMode prints them. */
const TYPE_LETTERS: ReadonlyMap<number, string> = new Map([
	[0o040000, "d"],
	[0o120000, "L"],
	[0o060000, "D"],
	[0o020000, "Dc"],
	[0o010000, "p"],
	[0o140000, "S"],
]);

/** Order in which Go prints what may follow the type: set-user-id, set-group-id, sticky. */
function permissions(mode: number): string {
	const type = TYPE_LETTERS.get(mode & 0o170000) ?? "";
	const [device, character] = [type.slice(0, 1), type.slice(1)];
	const special = `${mode & 0o4000 ? "u" : ""}${mode & 0o2000 ? "g" : ""}${character}${mode & 0o1000 ? "t" : ""}`;
	const bits = [..."rwxrwxrwx"].map((letter, index) => (mode & (0o400 >> index) ? letter : "-")).join("");
	return `${`${device}${special}` || "-"}${bits}`;
}
