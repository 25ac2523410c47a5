import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { isControlOnlyPath } from "./control-paths.ts";
import { findSigner, signatureFor } from "./signed-files.ts";
import { destinationOf, resolveTarget } from "./target.ts";

function requestTo(host: string, headers: Record<string, string> = {}, url = "/"): IncomingMessage {
	const rawHeaders = Object.entries({ host, ...headers }).flat();
	return { url, headers: { host, ...headers }, rawHeaders } as unknown as IncomingMessage;
}

function resolve(host: string, headers: Record<string, string> = {}, url = "/") {
	const req = requestTo(host, headers, url);
	return resolveTarget(req, destinationOf(req)?.hostname ?? "");
}

const headers = { "e2b-sandbox-id": "iabc00000000000000000", "e2b-sandbox-port": "8000" };

describe("the sandbox a request means", () => {
	test.each([
		["49983-iabc00000000000000000.sbx.test", 49983],
		["8000-iabc00000000000000000.sbx.test:8443", 8000],
		["8000-iabc00000000000000000-6532622b.sbx.test", 8000],
		["8000-IABC00000000000000000.Sbx.Test", 8000],
		["1-iabc00000000000000000.localhost", 1],
		["65535-iabc00000000000000000.localhost", 65535],
	])("host %s", (host, port) => {
		expect(resolve(host)).toEqual({ sandboxId: "iabc00000000000000000", port });
	});

	test.each([
		"localhost",
		"localhost:3000",
		"10-0-0-5.nip.io",
		"2-node.example.com",
		"3d-lab.example.com",
		"80-ilab.example.com",
		"127.0.0.1:3000",
		"[::1]:3000",
		"sandbox.sbx.test",
		"my-server.lan:3000",
		"server",
	])("headers on host %s", (host) => {
		expect(resolve(host, headers)).toEqual({ sandboxId: "iabc00000000000000000", port: 8000 });
	});

	test("what older clients append to an id in a header is ignored, as in a host", () => {
		const legacy = { ...headers, "e2b-sandbox-id": `${headers["e2b-sandbox-id"]}-6532622b` };
		expect(resolve("localhost", legacy)).toEqual(resolve("localhost", headers));
	});

	test("a sandbox's own host wins over headers", () => {
		expect(resolve("9000-iother000000000000000.sbx.test", headers)).toEqual({ sandboxId: "iother000000000000000", port: 9000 });
	});

	test("the authority of an absolute target wins over the host header", () => {
		expect(resolve("9000-iother000000000000000.sbx.test", {}, "http://8000-iabc00000000000000000.sbx.test/x")).toEqual({
			sandboxId: "iabc00000000000000000",
			port: 8000,
		});
	});

	test.each<[string, Record<string, string>, string]>([
		["localhost", { "e2b-sandbox-id": "iabc00000000000000000" }, "missing header"],
		["localhost", { "e2b-sandbox-port": "80" }, "missing header"],
		["localhost", {}, "Invalid host"],
		["8000-iabc00000000000000000", {}, "Invalid host"],
		["sandbox.sbx.test", {}, "Invalid host"],
		["8000-.sbx.test", {}, "Invalid sandbox ID"],
		["8000-i_bc.sbx.test", {}, "Invalid sandbox ID"],
		["localhost", { ...headers, "e2b-sandbox-id": "../x" }, "Invalid sandbox ID"],
		["x-iabc00000000000000000.sbx.test", {}, "Invalid sandbox port"],
		["0-iabc00000000000000000.sbx.test", {}, "Invalid sandbox port"],
		["65536-iabc00000000000000000.sbx.test", {}, "Invalid sandbox port"],
		["08000-iabc00000000000000000.sbx.test", {}, "Invalid sandbox port"],
		...["", " 49982", "+49982", "49982.0", "0xc33e", "4.9982e4", "49982,49983", "٤٩٩٨٢"].map(
			(port): [string, Record<string, string>, string] => [
				"localhost",
				{ ...headers, "e2b-sandbox-port": port },
				"Invalid sandbox port",
			],
		),
	])("host %s with %o: %s", (host, more, invalid) => {
		expect(resolve(host, more)).toEqual({ invalid });
	});

	test("two host headers name no host at all", () => {
		const req = { url: "/", headers: { host: "a" }, rawHeaders: ["Host", "a", "hOST", "b"] } as unknown as IncomingMessage;
		expect(destinationOf(req)).toBeUndefined();
	});
});

test.each(["/init", "/init?x=1", "/%69nit", "/%2569nit", "//init", "/./init/", "/a/../freeze", "/INIT", "/a/..%2ffsthaw"])(
	"%s is a control path",
	(path) => {
		expect(isControlOnlyPath(path)).toBe(true);
	},
);

test.each(["/", "/health", "/files?path=/init", "/initialise", "/process.Process/Start"])("%s is an ordinary path", (path) => {
	expect(isControlOnlyPath(path)).toBe(false);
});

describe("signed file URLs", () => {
	const request = { path: "hello.txt", operation: "read", user: "user", expiration: undefined } as const;

	test("sign as the clients do", () => {
		expect(signatureFor(request, "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0")).toBe("v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
	});

	test("name the one sandbox whose token made them", () => {
		const candidates = ["a", "b", "c"].map((sandboxId) => ({ sandboxId, accessToken: `token-${sandboxId}` }));
		const signature = signatureFor(request, "token-b");
		expect(findSigner({ ...request, signature }, candidates)?.sandboxId).toBe("b");
		expect(findSigner({ ...request, signature, operation: "write" }, candidates)).toBeUndefined();
		expect(findSigner({ ...request, signature: "v1_" }, candidates)).toBeUndefined();
	});
});
