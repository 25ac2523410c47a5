/** Parts that few sandboxes need: loaded at the first use, since what is loaded is in every snapshot. */

export function loadZlib(): Promise<typeof import("node:zlib")> {
	return import("node:zlib");
}

/** The type of a file by its name. */
export async function loadMime(): Promise<typeof import("mime/lite")["default"]> {
	return (await import("mime/lite")).default;
}

/** The type of a file by what it holds. */
export function loadSniff(): Promise<typeof import("./files/sniff.ts")> {
	return import("./files/sniff.ts");
}

export async function loadBusboy(): Promise<typeof import("@fastify/busboy")["Busboy"]> {
	return (await import("@fastify/busboy")).Busboy;
}
