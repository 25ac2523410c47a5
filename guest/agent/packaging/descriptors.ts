/**
 * How the descriptions of messages come into a bundle. Generated code holds them in binary form, and the library's way to
 * read that starts with the description of all descriptions: 1 MB of memory in every sandbox, for what is known here.
 */
import { readFile } from "node:fs/promises";
import { create, type DescMessage, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, file_google_protobuf_descriptor } from "@bufbuild/protobuf/wkt";
import type { Plugin } from "esbuild";

/** As the library's function of this name, for object literals in place of the binary form. */
const FILE_DESC = `
import { createEmbeddedFileRegistry } from "../registry.js";
import { restoreJsonNames } from "./restore-json-names.js";

function restore(value) {
	if (Array.isArray(value)) return value.map(restore);
	if (typeof value !== "object" || value === null) return value;
	const message = Object.create(defaults[value.$typeName]);
	for (const [name, field] of Object.entries(value)) message[name] = restore(field);
	return message;
}

export function fileDesc(description, imports) {
	const root = restore(description);
	root.messageType.forEach(restoreJsonNames);
	root.dependency = imports?.map((dependency) => dependency.proto.name) ?? [];
	const find = (name) => imports?.find((dependency) => dependency.proto.name === name);
	return createEmbeddedFileRegistry(root, find).getFile(root.name);
}
`;

/** Gives bundled code its descriptions as object literals. */
export const readDescriptorsAhead: Plugin = {
	name: "descriptors-ahead",
	setup(build) {
		build.onLoad({ filter: /@bufbuild\/protobuf\/dist\/esm\/codegenv2\/file\.js$/ }, () => ({
			contents: `const defaults = ${JSON.stringify(fieldDefaults())};${FILE_DESC}`,
			loader: "js",
		}));
		build.onLoad({ filter: /_pb\.js$/ }, async ({ path }) => {
			const code = await readFile(path, "utf8");
			const contents = code.replace(/\bfileDesc\("([^"]+)"/, (_call, encoded: string) => {
				const description = fromBinary(FileDescriptorProtoSchema, Buffer.from(encoded, "base64"));
				return `fileDesc(${JSON.stringify(description)}`;
			});
			return { contents, loader: "js" };
		});
	},
};

/** An option that the compiler did not know; generated code has none. */
const UNUSED = "UninterpretedOption";

/** Values of absent fields by type of message: the library keeps them in the messages' prototypes. */
function fieldDefaults(): Record<string, object> {
	const all = (messages: readonly DescMessage[]): DescMessage[] =>
		messages.flatMap((message) => [message, ...all(message.nestedMessages)]);
	const messages = all(file_google_protobuf_descriptor.messages).filter(({ name }) => name !== UNUSED);
	return Object.fromEntries(messages.map((message) => [message.typeName, { ...Object.getPrototypeOf(create(message)) }]));
}
