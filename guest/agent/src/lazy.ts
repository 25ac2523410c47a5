/** Parts of Node that few sandboxes need: loaded at the first use, since what is loaded is in every snapshot. */
export function loadZlib(): Promise<typeof import("node:zlib")> {
	return import("node:zlib");
}
