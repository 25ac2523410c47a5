/** Paths of the agent's protocol that only the control plane may use; clients are told that they don't exist. */

const CONTROL_ONLY = new Set(["/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/upgrade"]);

/** @param path origin form, as sent: it may be encoded, or written in a roundabout way */
export function isControlOnlyPath(path: string): boolean {
	const end = path.search(/[?#]/);
	return CONTROL_ONLY.has(plainPath(end < 0 ? path : path.slice(0, end)));
}

function plainPath(path: string): string {
	const segments: string[] = [];
	for (const segment of decoded(path).replaceAll("\\", "/").split("/")) {
		if (segment === "..") segments.pop();
		else if (segment !== "" && segment !== ".") segments.push(segment);
	}
	return `/${segments.join("/").toLowerCase()}`;
}

/** Undoes a few layers of percent encoding; the agent itself undoes one. */
function decoded(path: string): string {
	let plain = path;
	try {
		for (let layer = 0; layer < 3; layer++) plain = decodeURIComponent(plain);
	} catch {
		return plain;
	}
	return plain;
}
