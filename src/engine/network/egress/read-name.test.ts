import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readName } from "./read-name.ts";
import { sniffHttp, sniffTls } from "./sniff.ts";

const never = new AbortController().signal;
let server: Server;
/** Both ends of one connection. */
let guest: Socket;
let client: Socket;

beforeEach(async () => {
	server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
	await once(server, "listening");
	guest = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", noDelay: true });
	[client] = await once(server, "connection");
	guest.on("error", () => {});
	client.on("error", () => {});
});

afterEach(() => {
	vi.restoreAllMocks();
	guest.destroy();
	client.destroy();
	server.close();
});

/** Gives the client's bytes to the reader one by one, each when the one before was taken. */
async function trickle(bytes: Buffer, reading: Promise<unknown>): Promise<void> {
	let done = false;
	void reading.finally(() => {
		done = true;
	});
	for (const byte of bytes) {
		if (done) return;
		const taken = new Promise((resolve) => setImmediate(resolve));
		client.push(Buffer.from([byte]));
		await taken;
	}
}

/** Counts the bytes that are copied, searched and turned into text from here on. */
function bytesLookedAt(): () => number {
	const concat = vi.spyOn(Buffer, "concat");
	const copy = vi.spyOn(Buffer.prototype, "copy");
	const search = vi.spyOn(Buffer.prototype, "indexOf");
	const decode = vi.spyOn(Buffer.prototype, "toString");
	return () => {
		const counts = [
			...concat.mock.calls.flatMap(([parts]) => parts.map(({ length }) => length)),
			...copy.mock.contexts.map(({ length }) => length),
			...search.mock.calls.map(([, from], call) => (search.mock.contexts[call]?.length ?? 0) - Number(from ?? 0)),
			...decode.mock.calls.map(([, from, to], call) => {
				const { length = 0 } = decode.mock.contexts[call] ?? {};
				return Math.min(to ?? length, length) - Number(from ?? 0);
			}),
		];
		return counts.reduce((sum, count) => sum + count, 0);
	};
}

describe("bytes that come one by one", () => {
	const SIZE = 4_000;
	const http = Buffer.from(`GET / HTTP/1.1\r\nHost: example.com\r\nX-Long: ${"x".repeat(SIZE)}\r\n\r\n`);
	const hello = Buffer.from([22, 3, 1, SIZE >> 8, SIZE & 255, 1, 0, SIZE >> 8, SIZE & 255, ...Buffer.alloc(SIZE)]);

	test.each([
		["HTTP", sniffHttp, http, "example.com"],
		["TLS", sniffTls, hello, undefined],
	])("are looked at a few times each, not again for every one that follows: %s", async (_kind, sniff, bytes, name) => {
		const count = bytesLookedAt();
		const reading = readName(client, sniff, never);
		await trickle(bytes, reading);
		expect(await reading).toBe(name);
		expect(count()).toBeLessThan(20 * bytes.length);
	});

	test("are all there for whoever reads on", async () => {
		const reading = readName(client, sniffHttp, never);
		await trickle(http, reading);
		await reading;
		expect(client.read()).toEqual(http);
	});
});

test("empty records are not waited on: the first one decides", async () => {
	const reading = readName(client, sniffTls, never);
	guest.write(Buffer.from([22, 3, 1, 0, 0]));
	expect(await reading).toBeUndefined();
});

test.each([
	["after some bytes", Buffer.from([22, 3])],
	["at once", Buffer.alloc(0)],
])("a client that ends without a name is not waited for: %s", async (_when, bytes) => {
	const reading = readName(client, sniffTls, never);
	guest.end(bytes);
	expect(await reading).toBeUndefined();
});
