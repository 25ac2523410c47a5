/** Files of a multipart body, written as their parts come in. */

import type { Readable } from "node:stream";
import type { Busboy } from "@fastify/busboy";
import { HttpError, messageOf } from "../errors.ts";
import { loadBusboy } from "../lazy.ts";

/** Parts of other names are ignored. */
const FIELD = "file";

/** Writes the part with this file name, which is absent for a part without one. */
export type PartWriter<Written> = (source: Readable, filename: string | undefined) => Promise<Written>;

/**
 * Resolves with what was written for each part, in their order. The body is taken to its end also when one fails.
 * @throws HttpError 400 for a broken body; what `write` threw first
 */
export async function writeParts<Written>(
	body: Readable,
	contentType: string,
	write: PartWriter<Written>,
): Promise<readonly Written[]> {
	const parser = await parserFor(contentType);
	return await new Promise((resolve, reject) => {
		const written: Promise<Written | undefined>[] = [];
		const parts: Readable[] = [];
		let failure: unknown;
		// Whoever writes a part that will never end would hold its file open for good.
		const abandon = (error: Error) => {
			for (const part of parts) part.destroy(error);
			reject(error);
		};
		parser.on("file", (field, part, filename) => {
			if (field !== FIELD || failure !== undefined) {
				part.resume();
				return;
			}
			parts.push(part);
			// The parser only tells those who listen; destroyed, it tells those too who read it later.
			part.on("error", (error) => part.destroy(error));
			const fail = (error: unknown) => {
				failure ??= error;
				part.resume();
				return undefined;
			};
			written.push(write(part, filename || undefined).catch(fail));
		});
		const finish = async () => {
			const files = (await Promise.all(written)).filter((file) => file !== undefined);
			if (failure === undefined) resolve(files);
			else reject(failure);
		};
		parser.once("finish", () => void finish());
		parser.once("error", (error: unknown) => {
			body.unpipe(parser);
			body.resume();
			abandon(new HttpError(400, `error parsing multipart form: ${messageOf(error)}`));
		});
		body.once("error", abandon);
		if (body.destroyed) abandon(new Error("the client went away"));
		body.pipe(parser);
	});
}

async function parserFor(contentType: string): Promise<InstanceType<typeof Busboy>> {
	const Parser = await loadBusboy();
	try {
		return new Parser({
			headers: { "content-type": contentType },
			// The file name is the destination, slashes and all.
			preservePath: true,
			isPartAFile: (field) => field === FIELD,
			limits: { fieldSize: 0, fields: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY },
		});
	} catch (error) {
		throw new HttpError(400, `error parsing multipart form: ${messageOf(error)}`);
	}
}
