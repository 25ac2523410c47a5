/** POST /files: one file as octet stream, or any number in a multipart form. */
import type { IncomingMessage } from "node:http";
import { PassThrough, type Readable } from "node:stream";
import { HttpError, messageOf } from "../errors.ts";
import { loadZlib } from "../lazy.ts";
import type { Sysd } from "../sysd/sysd.ts";
import { metadataOf } from "./metadata.ts";
import { writeParts } from "./multipart.ts";
import { type FileRequest, headerOf } from "./request.ts";
import { type WrittenFile, writeFile } from "./write.ts";

/** @throws HttpError */
export async function upload(file: FileRequest, sysd: Sysd): Promise<readonly WrittenFile[]> {
	const contentType = headerOf(file.request, "content-type") ?? "";
	const metadata = metadataOf(file.request);
	const given = file.query.get("path") || undefined;
	const written = new Set<string>();
	const write = async (source: Readable, name: string | undefined): Promise<WrittenFile> => {
		if (name === undefined) throw new HttpError(400, "no path: give the query parameter path or a file name to the part");
		const path = file.resolve(name);
		if (written.has(path)) throw new HttpError(400, `path '${path}' is in the request twice`);
		written.add(path);
		return await writeFile(source, { path, user: file.user, metadata }, sysd);
	};
	switch (contentType.split(";", 1)[0]?.trim().toLowerCase()) {
		case "application/octet-stream":
			if (given === undefined) throw new HttpError(400, "path is required for an application/octet-stream upload");
			return [await write(await decoded(file.request), given)];
		case "multipart/form-data":
			return await writeParts(await decoded(file.request), contentType, (source, filename) => write(source, given ?? filename));
		default:
			throw new HttpError(400, `unsupported content type '${contentType}': send multipart/form-data or application/octet-stream`);
	}
}

/** The body without its coding. @throws HttpError 400 for an unknown one */
async function decoded(request: IncomingMessage): Promise<Readable> {
	const coding = (headerOf(request, "content-encoding") ?? "identity").trim().toLowerCase();
	if (coding === "identity" || coding === "") return request;
	if (coding !== "gzip") throw new HttpError(400, `unsupported content encoding '${coding}': send gzip or identity`);
	const plain = new PassThrough();
	// It may fail before it is read; who reads it later is told.
	plain.on("error", () => undefined);
	const gunzip = (await loadZlib()).createGunzip();
	gunzip.once("error", (error) => {
		// The request must stay whole, so that it can be answered.
		request.unpipe(gunzip);
		request.resume();
		plain.destroy(new HttpError(400, `broken gzip body: ${messageOf(error)}`));
	});
	request.once("error", (error) => plain.destroy(error));
	request.once("close", () => {
		if (!request.complete) plain.destroy(new Error("the client went away"));
	});
	request.pipe(gunzip).pipe(plain);
	return plain;
}
