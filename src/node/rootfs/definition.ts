/**
 * Definitions of the built-in templates (guest/templates/<name>/template.json): parsed here once, with every file they
 * refer to resolved, and trusted afterwards.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { OffshootError } from "../../protocol/index.ts";

const TEMPLATES = fileURLToPath(new URL("../../../guest/templates/", import.meta.url));

const Name = Type.String({ pattern: "^[a-z0-9][a-z0-9-]*$", maxLength: 64 });
const common = {
	name: Name,
	/** Directory whose files go into the tree, owned by root. */
	files: Type.Optional(Type.String()),
	/** Script that runs inside the tree, last of all. */
	setup: Type.Optional(Type.String()),
};

const DebianDefinition = Type.Object(
	{
		...common,
		debian: Type.Object({ suite: Type.String(), packages: Type.Array(Type.String()) }, { additionalProperties: false }),
		/** Version of npm that is installed beside Node. */
		npm: Type.String(),
	},
	{ additionalProperties: false },
);

const DerivedDefinition = Type.Object(
	{
		...common,
		parent: Name,
		debian: Type.Object(
			{
				packages: Type.Array(Type.String({ pattern: "^[a-z0-9][a-z0-9.+-]+$" }), { minItems: 1 }),
				/** Files of packages that are left out, as patterns of dpkg's `--path-exclude`. */
				exclude: Type.Array(Type.String({ pattern: "^/" })),
			},
			{ additionalProperties: false },
		),
		/** pip requirement files. */
		pythonRequirements: Type.Array(Type.String(), { minItems: 1 }),
		/** Directories below Python's package directory that are left out, such as the tests of a library. */
		pythonPrune: Type.Array(Type.String({ pattern: "^[\\w-]+(/[\\w-]+)+$" })),
		/** Directory with the sources of the Java kernel. */
		javaKernel: Type.String(),
	},
	{ additionalProperties: false },
);

/** A template that starts from Debian packages. Paths are absolute. */
export type DebianTemplate = Static<typeof DebianDefinition>;
/** A template that adds to another one. Paths are absolute. */
export type DerivedTemplate = Static<typeof DerivedDefinition>;
export type TemplateDefinition = DebianTemplate | DerivedTemplate;

export type BuiltInTemplate = "base" | "code-interpreter-v1";

export function isDerived(definition: TemplateDefinition): definition is DerivedTemplate {
	return "parent" in definition;
}

/** Reads the definition of a built-in template. Throws OffshootError for an unknown or malformed one. */
export async function loadTemplate(name: string): Promise<TemplateDefinition> {
	if (!Value.Check(Name, name)) throw new OffshootError("invalid_request", `Invalid template name "${name}"`);
	const file = resolve(TEMPLATES, name, "template.json");
	const text = await readFile(file, "utf8").catch((cause: unknown) => {
		throw new OffshootError("not_found", `There is no built-in template "${name}": ${file} cannot be read`, { cause });
	});
	return parseTemplate(text, file);
}

/** Parses a definition; relative paths in it start at the directory of `file`. */
export function parseTemplate(text: string, file: string): TemplateDefinition {
	const value = parseJson(text, file);
	const directory = dirname(file);
	const paths = <T extends { files?: string; setup?: string }>(definition: T): T => ({
		...definition,
		...(definition.files && { files: resolve(directory, definition.files) }),
		...(definition.setup && { setup: resolve(directory, definition.setup) }),
	});
	if (Value.Check(DebianDefinition, value)) return paths(value);
	if (Value.Check(DerivedDefinition, value)) {
		return {
			...paths(value),
			pythonRequirements: value.pythonRequirements.map((path) => resolve(directory, path)),
			javaKernel: resolve(directory, value.javaKernel),
		};
	}
	const schema = isObject(value) && "parent" in value ? DerivedDefinition : DebianDefinition;
	const [problem] = Value.Errors(schema, value);
	throw new OffshootError(
		"invalid_request",
		`${file}: "${problem?.instancePath ?? "/"}": ${problem?.message ?? "not a template"}`,
	);
}

function parseJson(text: string, file: string): unknown {
	try {
		return JSON.parse(text);
	} catch (cause) {
		throw new OffshootError("invalid_request", `${file} is not valid JSON: ${String(cause)}`, { cause });
	}
}

function isObject(value: unknown): value is object {
	return typeof value === "object" && value !== null;
}
