/** What a process is started with. Source of the rules: E2B wire protocol. */
import { resolvePath } from "../paths.ts";
import type { Identity } from "../session.ts";
import type { SpawnRequest, TerminalSize } from "../sysd/sysd.ts";
import type { User } from "../users.ts";

export type Launch = Omit<SpawnRequest, "description">;

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** PATH, the user's own, the sandbox's, the request's; later wins. Nothing of the daemon's own is passed on. */
function processEnvironment(user: User, identity: Identity, envs: Readonly<Record<string, string>>): Record<string, string> {
	return {
		PATH: process.env.PATH ?? DEFAULT_PATH,
		HOME: user.home,
		USER: user.name,
		LOGNAME: user.name,
		...identity.envs,
		...envs,
	};
}

export interface LaunchOptions {
	readonly user: User;
	readonly identity: Identity;
	readonly cmd: string;
	readonly args: readonly string[];
	readonly envs: Readonly<Record<string, string>>;
	readonly cwd: string | undefined;
	readonly input: "pipe" | "null" | TerminalSize;
}

/** @throws PathError */
export function launchOf({ user, identity, cmd, args, envs, cwd, input }: LaunchOptions): Launch {
	return {
		program: cmd,
		args,
		environment: processEnvironment(user, identity, envs),
		cwd: resolvePath(cwd ?? "", user, identity.defaultWorkdir),
		uid: user.uid,
		gid: user.gid,
		groups: user.groups,
		input,
	};
}
