import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Filesystem } from "../../../../src/protocol/gen/filesystem_pb.js";
import { fileTests } from "../../testing/files.ts";
import { IDENTITY } from "../../testing/identity.ts";
import { json, type Place, stream, unary } from "../../testing/rpc.ts";
import { createRpcHandler } from "../rpc/handler.ts";
import { Sysd } from "../sysd/sysd.ts";
import { Users } from "../users.ts";
import { filesystemService } from "./service.ts";

const tests = fileTests();

/** The service as the daemon has it, told by a table that `share` is a network mount. */
async function serviceWithShare(): Promise<Place & AsyncDisposable> {
	await mkdir(join(tests.at, "share/below"), { recursive: true });
	const mountTable = join(tests.at, "mounts");
	await writeFile(mountTable, `overlay / overlay rw 0 0\nserver:/x ${tests.at}/share nfs4 rw 0 0\n`);
	const sysd = new Sysd(join(tests.agent.directory, "sysd.sock"));
	const users = new Users();
	const handle = createRpcHandler(users, (add) => add(Filesystem, filesystemService({ sysd, users, mountTable })));
	const server = createServer((request, response) => void handle(request.url ?? "", request, response, IDENTITY));
	await once(server.listen(0, "127.0.0.1"), "listening");
	const address = server.address();
	const port = typeof address === "object" ? address?.port : undefined;
	return {
		url: `http://127.0.0.1:${port}`,
		[Symbol.asyncDispose]: async () => {
			server.closeAllConnections();
			server.close();
			sysd.close();
		},
	};
}

describe("a watch of a network mount", () => {
	test.each(["share", "share/below"])("is refused with its type: %s", async (name) => {
		await using service = await serviceWithShare();
		const path = join(tests.at, name);
		const refusal = { code: "invalid_argument", message: `cannot watch path '${path}': it is on a network file system (nfs4)` };
		const [first] = await Array.fromAsync(stream(service, "filesystem.Filesystem/WatchDir", { path }));
		expect(first).toEqual({ flags: 2, body: { error: refusal } });
		const polled = await unary(service, "filesystem.Filesystem/CreateWatcher", { path });
		expect([polled.status, await json(polled)]).toEqual([400, refusal]);
	});

	test("stands when it is allowed, and beside the mount anyway", async () => {
		await using service = await serviceWithShare();
		for (const request of [{ path: join(tests.at, "share"), allowNetworkMounts: true }, { path: tests.at }]) {
			const messages = stream(service, "filesystem.Filesystem/WatchDir", request);
			expect((await messages.next()).value?.body).toEqual({ start: {} });
			await writeFile(join(request.path, "f"), "");
			expect((await messages.next()).value?.body.filesystem.name).toBe("f");
			await messages.return(undefined);
			expect((await unary(service, "filesystem.Filesystem/CreateWatcher", request)).status).toBe(200);
		}
	});
});
