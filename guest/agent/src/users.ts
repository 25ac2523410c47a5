/** Users and groups of the sandbox, read from /etc/passwd and /etc/group whenever one of them has changed. */
import { readFileSync, statSync } from "node:fs";

export interface User {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
	readonly home: string;
	/** Supplementary groups, the primary one included. */
	readonly groups: readonly number[];
}

interface Group {
	readonly name: string;
	readonly gid: number;
	readonly members: readonly string[];
}

/** One table of colon-separated lines, parsed again when the file's change time or size differs. */
class Table<Row> {
	private readonly path: string;
	private readonly parse: (fields: readonly string[]) => Row | undefined;
	private version = "";
	private rows: readonly Row[] = [];

	constructor(path: string, parse: (fields: readonly string[]) => Row | undefined) {
		this.path = path;
		this.parse = parse;
	}

	read(): readonly Row[] {
		const stat = statSync(this.path, { bigint: true, throwIfNoEntry: false });
		const version = stat === undefined ? "" : `${stat.ino} ${stat.ctimeNs} ${stat.size}`;
		if (version === this.version) return this.rows;
		const text = stat === undefined ? "" : readFileSync(this.path, "utf8");
		this.rows = text
			.split("\n")
			.map((line) => this.parse(line.split(":")))
			.filter((row) => row !== undefined);
		this.version = version;
		return this.rows;
	}
}

type Account = Omit<User, "groups">;

function parseAccount([name, , uid, gid, , home]: readonly string[]): Account | undefined {
	if (!name || !uid || !gid) return undefined;
	return { name, uid: Number(uid), gid: Number(gid), home: home || "/" };
}

function parseGroup([name, , gid, members]: readonly string[]): Group | undefined {
	if (!name || !gid) return undefined;
	return { name, gid: Number(gid), members: (members ?? "").split(",") };
}

const ROOT: Account = { name: "root", uid: 0, gid: 0, home: "/root" };

export class Users {
	private readonly accounts: Table<Account>;
	private readonly groups: Table<Group>;

	/** @param etc directory of passwd and group */
	constructor(etc = "/etc") {
		this.accounts = new Table(`${etc}/passwd`, parseAccount);
		this.groups = new Table(`${etc}/group`, parseGroup);
	}

	/** Undefined when there is no such user. Root exists also without a user table. */
	find(name: string): User | undefined {
		const account = this.accounts.read().find((row) => row.name === name) ?? (name === "root" ? ROOT : undefined);
		if (account === undefined) return undefined;
		const groups = this.groups.read().filter((group) => group.members.includes(name));
		return { ...account, groups: [...new Set([account.gid, ...groups.map((group) => group.gid)])] };
	}

	/** The number itself when it has no name. */
	userName(uid: number): string {
		return this.accounts.read().find((row) => row.uid === uid)?.name ?? String(uid);
	}

	groupName(gid: number): string {
		return this.groups.read().find((row) => row.gid === gid)?.name ?? String(gid);
	}
}
