/**
 * IPv4 forwarding of the host. It is a switch for the whole host: it is turned on when it was off, and turned off again
 * with the last instance, unless another program has rules for forwarded packets by then and so may rely on it.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { foreignChains } from "./foreign-firewall.ts";
import { claimants, RUN_DIRECTORY } from "./ranges.ts";

const SWITCH = "/proc/sys/net/ipv4/ip_forward";

/** Present while an instance of ours is the reason that forwarding is on. */
const MARKER = join(RUN_DIRECTORY, "enabled-ip-forward");

export async function enableForwarding(): Promise<void> {
	if ((await readFile(SWITCH, "utf8")).trim() !== "0") return;
	await mkdir(RUN_DIRECTORY, { recursive: true });
	await writeFile(MARKER, "");
	await writeFile(SWITCH, "1");
}

/** To be called after the last thing of an instance is gone, its claim on addresses included. */
export async function restoreForwarding(signal: AbortSignal): Promise<void> {
	if ((await claimants()).length > 0 || !(await isOurs())) return;
	const needed = (await foreignChains(signal)).some(({ hook }) => hook === "forward");
	if (!needed) await writeFile(SWITCH, "0");
	await rm(MARKER, { force: true });
}

async function isOurs(): Promise<boolean> {
	try {
		await readFile(MARKER);
		return true;
	} catch {
		return false;
	}
}
