import { request } from "node:http";
import { Sandbox } from "e2b";
import { expect, inject, test } from "vitest";
import { newSandbox, sdk } from "../support/sandboxes.ts";

/** Every URL that an SDK builds from our answers must lead back to this server, never to somebody else's. */
function own(host: string): boolean {
	return host.endsWith(`:${new URL(inject("server").url).port}`);
}

test("hosts of guest ports and file URLs name this server", async () => {
	const sandbox = await newSandbox();
	expect(own(sandbox.getHost(3000))).toBe(true);
	const urls = [await sandbox.uploadUrl("a"), await sandbox.downloadUrl("a", { useSignatureExpiration: 60_000 })];
	for (const url of urls) expect(own(new URL(url).host), url).toBe(true);
	// Without a sandbox URL of its own a client builds per-sandbox hosts from the answer's domain.
	const { apiKey, apiUrl } = sdk();
	const byDomain = await Sandbox.connect(sandbox.sandboxId, { apiKey, apiUrl, domain: "e2b.app" });
	for (const url of [await byDomain.uploadUrl("a"), await byDomain.downloadUrl("a"), `https://${byDomain.getHost(80)}`]) {
		expect(own(new URL(url).host), url).toBe(true);
	}
});

test("a client that is told to debug asks its own machine, and no server", async () => {
	const local = await Sandbox.create({ ...sdk(), apiUrl: "http://127.0.0.1:1", debug: true });
	expect([local.sandboxId, local.getHost(3000)]).toEqual(["debug_sandbox_id", "localhost:3000"]);
});

test("signed file URLs work with nothing but HTTP", async () => {
	const sandbox = await newSandbox();
	const form = new FormData();
	form.append("file", new Blob(["through a signed URL"]), "note.txt");
	const uploaded = await fetch(await sandbox.uploadUrl("/home/user/note.txt"), { method: "POST", body: form });
	expect(uploaded.status).toBe(200);
	const downloaded = await fetch(await sandbox.downloadUrl("/home/user/note.txt"));
	expect(await downloaded.text()).toBe("through a signed URL");

	const forged = new URL(await sandbox.downloadUrl("/etc/shadow"));
	forged.searchParams.set("path", "/home/user/note.txt");
	expect((await fetch(forged)).ok).toBe(false);
});

test("signed file URLs wake a paused sandbox that traffic may wake, named or not, until they expire", async () => {
	const sandbox = await newSandbox("base", { lifecycle: { onTimeout: "pause", autoResume: true } });
	await sandbox.files.write("/home/user/note.txt", "kept");
	const valid = await sandbox.downloadUrl("/home/user/note.txt", { useSignatureExpiration: 600_000 });
	const expired = await sandbox.downloadUrl("/home/user/note.txt", { useSignatureExpiration: -10_000 });
	const named = { headers: { "E2b-Sandbox-Id": sandbox.sandboxId, "E2b-Sandbox-Port": "49983" } };
	for (const options of [{}, named]) {
		await sandbox.pause();
		expect((await fetch(expired, options)).status).toBe(403);
		expect((await sandbox.getInfo()).state).toBe("paused");
		expect(await (await fetch(valid, options)).text()).toBe("kept");
	}
});

test("a request to a sandbox's own host reaches its port", async () => {
	const sandbox = await newSandbox();
	await sandbox.commands.run("python3 -m http.server 8000 --bind 0.0.0.0 -d /home/user", { background: true, timeoutMs: 0 });
	await sandbox.commands.run("while ! ss -Htln sport = :8000 | grep -q .; do sleep 0.05; done");
	const { hostname, port } = new URL(inject("server").url);
	const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
	// The name need not resolve: what counts is the Host header.
	request({ host: hostname, port, headers: { host: sandbox.getHost(8000) } }, (response) => {
		response.resume();
		resolve(response.statusCode);
	})
		.on("error", reject)
		.end();
	expect(await promise).toBe(200);
});
