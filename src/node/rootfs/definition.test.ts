import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { isDerived, loadTemplate, parseTemplate } from "./definition.ts";

function derived(changes: object): string {
	const debian = { packages: ["r-base-core"], exclude: [] };
	const fields = { name: "x", parent: "base", debian, pythonRequirements: ["r.txt"], pythonPrune: [], javaKernel: "java" };
	return JSON.stringify({ ...fields, ...changes });
}

test("the built-in templates are well-formed and every file they name exists", async () => {
	for (const name of ["base", "code-interpreter-v1"]) {
		const definition = await loadTemplate(name);
		expect(definition.name).toBe(name);
		const files = [
			definition.files,
			definition.setup,
			...(isDerived(definition) ? [...definition.pythonRequirements, definition.javaKernel] : []),
		];
		expect(files.filter((file) => file !== undefined && !existsSync(file))).toEqual([]);
	}
});

test("an unknown template is reported as such", async () => {
	await expect(loadTemplate("nothing")).rejects.toMatchObject({ code: "not_found" });
	await expect(loadTemplate("../base")).rejects.toMatchObject({ code: "invalid_request" });
});

test.each([
	["{", /template\.json is not valid JSON/],
	['{"name":"x","debian":{"suite":"trixie","packages":"git"},"npm":"1.0.0"}', /"\/debian\/packages"/],
	['{"name":"x","debian":{"suite":"trixie","packages":[]},"npm":"1.0.0","colour":"red"}', /"\/colour"/],
	[derived({ pythonRequirements: [] }), /"\/pythonRequirements"/],
	[derived({ pythonPrune: ["../../etc"] }), /"\/pythonPrune\/0"/],
	[derived({ debian: { packages: ["--allow-unauthenticated"], exclude: [] } }), /"\/debian\/packages\/0"/],
])("a malformed definition names its file and field: %s", (text, message) => {
	expect(() => parseTemplate(text, "/templates/x/template.json")).toThrow(message);
});

test("relative paths start at the definition's directory", () => {
	const text = derived({ pythonRequirements: ["../r.txt"], javaKernel: "../java", setup: "s.sh" });
	expect(parseTemplate(text, "/templates/x/template.json")).toMatchObject({
		pythonRequirements: ["/templates/r.txt"],
		javaKernel: "/templates/java",
		setup: "/templates/x/s.sh",
	});
});
