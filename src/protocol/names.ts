import { OffshootError } from "./errors.ts";

/** A reference to a template or snapshot: `[namespace/]alias[:tag]`, where alias may also be a template id. */
export interface TemplateRef {
	readonly namespace: string | undefined;
	readonly alias: string;
	/** Undefined when the reference had none; on look-up that means `default`. */
	readonly tag: string | undefined;
}

export const DEFAULT_TAG = "default";

const WORD = /^[a-z0-9-_]+$/;
const TAG = /^[a-z0-9-_.]+$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const MAX_NAME_LENGTH = 128;

/**
 * Parses a name after trimming and lower-casing it.
 * @param field the name of the request's field, for the error
 * @throws OffshootError invalid_request
 */
export function parseTemplateRef(text: string, field = "name"): TemplateRef {
	const name = text.trim().toLowerCase();
	const invalid = (why: string) => new OffshootError("invalid_request", `${field} '${text.slice(0, 140)}' is invalid: ${why}`);
	if (name.length > MAX_NAME_LENGTH) throw invalid(`it has more than ${MAX_NAME_LENGTH} characters`);

	const slash = name.indexOf("/");
	const namespace = slash < 0 ? undefined : name.slice(0, slash);
	const rest = name.slice(slash + 1);
	const colon = rest.indexOf(":");
	const alias = colon < 0 ? rest : rest.slice(0, colon);
	const tag = colon < 0 ? undefined : rest.slice(colon + 1);

	if (namespace !== undefined && !WORD.test(namespace)) throw invalid("the namespace may have a-z, 0-9, - and _ only");
	if (!WORD.test(alias)) throw invalid("expected [namespace/]alias[:tag] with a-z, 0-9, - and _ only");
	const wrong = tag === undefined ? undefined : tagMistake(tag);
	if (wrong !== undefined) throw invalid(wrong);
	return { namespace, alias, tag };
}

/**
 * Parses a tag by itself, after trimming and lower-casing it.
 * @throws OffshootError invalid_request
 */
export function parseTag(text: string, field: string): string {
	const tag = text.trim().toLowerCase();
	const wrong = tag.length > MAX_NAME_LENGTH ? `it has more than ${MAX_NAME_LENGTH} characters` : tagMistake(tag);
	if (wrong !== undefined) throw new OffshootError("invalid_request", `${field} '${text.slice(0, 140)}' is invalid: ${wrong}`);
	return tag;
}

function tagMistake(tag: string): string | undefined {
	if (!TAG.test(tag)) return "the tag may have a-z, 0-9, -, _ and . only";
	return UUID.test(tag) ? "a tag must not be a UUID" : undefined;
}
