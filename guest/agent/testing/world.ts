/**
 * A small file system for an agent that is sent what may do damage: programs and libraries of this machine are in it,
 * read-only; all that can be written is its own directory.
 */
import { realpathSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";

const REPOSITORY = join(import.meta.dirname, "../../..");
/** Where Node is, wherever that may be. */
const NODE = dirname(dirname(process.execPath));
/** May be a link to those of another checkout. */
const PACKAGES = realpathSync(join(REPOSITORY, "node_modules"));
const SHARED = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", NODE, REPOSITORY, PACKAGES];

const ENTER = `
set -e
world=$1
shift
for directory in ${SHARED.map((path) => `'${path}'`).join(" ")}; do
	if [ -d "$directory" ]; then mount -o bind,ro "$directory" "$world$directory"; fi
done
mount --bind /proc "$world/proc"
mount -o bind,ro /dev "$world/dev"
mount --bind /dev/pts "$world/dev/pts"
exec chroot "$world" "$@"
`;

/** Prepares the directory; the command prefix runs a program with it as its root. Its mounts end with the program. */
export async function makeWorld(directory: string): Promise<readonly string[]> {
	for (const path of [...SHARED, "/proc", "/dev", "/root", "/tmp", "/run"]) {
		await mkdir(join(directory, path), { recursive: true });
	}
	return ["unshare", "--mount", "sh", "-c", ENTER, "sh", directory];
}
