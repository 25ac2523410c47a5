/** Which paths lie on a network file system, where the kernel does not tell of changes made elsewhere. */
import { readFile, realpath } from "node:fs/promises";

const NETWORK = /^(nfs\d?|cifs|smb\w*|fuse(\..*|blk)?)$/;

/**
 * The type of the network file system that holds `path`, or undefined.
 * @param table lists what is mounted, as in proc(5)
 */
export async function networkFileSystem(path: string, table = "/proc/self/mounts"): Promise<string | undefined> {
	const target = await realpath(path);
	const mounts = await readFile(table, "utf8").catch(() => "");
	let found = { directory: "", type: "" };
	for (const line of mounts.split("\n")) {
		const [, encoded, type] = line.split(" ");
		if (encoded === undefined || type === undefined) continue;
		const directory = decode(encoded);
		// A later mount covers an earlier one on the same directory.
		if (contains(directory, target) && directory.length >= found.directory.length) found = { directory, type };
	}
	return NETWORK.test(found.type) ? found.type : undefined;
}

function contains(directory: string, path: string): boolean {
	return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** Spaces and the like are written as octal escapes: proc(5). */
function decode(text: string): string {
	return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
