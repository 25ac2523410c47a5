import { once } from "node:events";
import { connect, createServer } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, expect, test } from "vitest";
import { type Sniffed, type Sniffing, sniffHttp, sniffTls } from "./sniff.ts";

/** What is found in these bytes alone. */
function found(sniffing: Sniffing, bytes: Buffer): Sniffed | "more" {
	let step = sniffing.next();
	while (step.done !== true) {
		if (step.value > bytes.length) return "more";
		step = sniffing.next(bytes);
	}
	return step.value;
}

/** TLS records with these fragments of a handshake. */
function records(...fragments: Buffer[]): Buffer {
	return Buffer.concat(
		fragments.flatMap((fragment) => [Buffer.from([22, 3, 1, fragment.length >> 8, fragment.length & 255]), fragment]),
	);
}

/** First flight of Node's own TLS client. */
async function clientHello(servername: string): Promise<Buffer> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("no port");
	const client = connectTls({ socket: connect(address.port, "127.0.0.1"), servername });
	client.on("error", () => {});
	const [socket] = await once(server, "connection");
	const [hello] = await once(socket, "data");
	client.destroy();
	socket.destroy();
	server.close();
	return hello;
}

describe("sniffTls", () => {
	test("reads the name of a real client, however its bytes are cut", async () => {
		const hello = await clientHello("Api.Example.com");
		expect(found(sniffTls(), hello)).toEqual({ name: "api.example.com" });
		for (let cut = 0; cut < hello.length; cut++) expect(found(sniffTls(), hello.subarray(0, cut))).toBe("more");
	});

	test("reads a hello that is spread over several records", async () => {
		const hello = await clientHello("example.com");
		const message = hello.subarray(5);
		const spread = records(message.subarray(0, 3), message.subarray(3, 60), message.subarray(60));
		expect(found(sniffTls(), spread)).toEqual({ name: "example.com" });
	});

	test("a hello in more records than any client sends is given up, and at the first empty one", async () => {
		const message = (await clientHello("example.com")).subarray(5);
		const inRecords = (count: number) => {
			const bytes = Array.from({ length: count - 1 }, (_, at) => message.subarray(at, at + 1));
			return records(...bytes, message.subarray(count - 1));
		};
		expect(found(sniffTls(), inRecords(16))).toEqual({ name: "example.com" });
		expect(found(sniffTls(), inRecords(17))).toBe("none");
		expect(found(sniffTls(), records(Buffer.alloc(0)))).toBe("none");
		expect(found(sniffTls(), records(message.subarray(0, 1), Buffer.alloc(0)))).toBe("none");
	});

	test("of a hello that is said to be endless no more than 16 KiB are waited for", () => {
		const most = Buffer.alloc(16 * 1024);
		most.set([1, 255, 255, 255]);
		expect(found(sniffTls(), Buffer.from([22, 3, 1, 255, 255]))).toBe("none");
		expect(found(sniffTls(), records(most))).toBe("more");
		expect(found(sniffTls(), records(most, Buffer.alloc(1024)))).toBe("none");
	});

	test("finds no name where there is none", async () => {
		expect(found(sniffTls(), await clientHello(""))).toBe("none");
		expect(found(sniffTls(), Buffer.from("GET / HTTP/1.1\r\n"))).toBe("none");
		expect(found(sniffTls(), Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]))).toBe("none");
	});

	test("takes bytes that were damaged anywhere without harm", async () => {
		const hello = await clientHello("example.com");
		for (let at = 0; at < hello.length; at++) {
			for (const value of [0, 1, 255]) {
				const damaged = Buffer.from(hello);
				damaged[at] = value;
				expect(() => found(sniffTls(), damaged)).not.toThrow();
			}
		}
	});
});

describe("sniffHttp", () => {
	const request = (...lines: string[]) => Buffer.from(`${lines.join("\r\n")}\r\n\r\nbody`);

	test.each([
		[["GET / HTTP/1.1", "Accept: */*", "Host: Example.com"], "example.com"],
		[["GET / HTTP/1.1", "hOST:example.com:8080"], "example.com"],
		[["OPTIONS * HTTP/1.1", "Host: example.com"], "example.com"],
		[["GET http://example.com/ HTTP/1.1", "Host: example.com"], "example.com"],
	])("reads the host of %j", (lines, name) => {
		expect(found(sniffHttp(), request(...lines))).toEqual({ name });
	});

	test.each([
		[["GET / HTTP/1.1"]],
		[["GET / HTTP/1.1", "Host: a.example.com", "Host: b.example.com"]],
		[["GET / HTTP/1.1", "Host: a.example.com", " b.example.com"]],
		[["GET http://b.example.com/ HTTP/1.1", "Host: a.example.com"]],
		[["GET / HTTP/1.1", "Host: 1.2.3.4"]],
		[["GET / HTTP/1.1", "Host : a.example.com"]],
		[["GET / HTTP/1.1", "Host : b.example.com", "Host: a.example.com"]],
		[["CONNECT example.com:443 HTTP/1.1", "Host: example.com"]],
		[["GET /", "Host: example.com"]],
		[["\u0016\u0003\u0001 binary", "Host: example.com"]],
	])("does not guess the host of %j", (lines) => {
		expect(found(sniffHttp(), request(...lines))).toBe("none");
	});

	test("waits for the whole head", () => {
		const whole = request("GET / HTTP/1.1", "Host: example.com");
		for (let cut = 0; cut < whole.length - 4; cut++) expect(found(sniffHttp(), whole.subarray(0, cut))).toBe("more");
	});

	test("of a head without an end no more than 64 KiB are waited for", () => {
		const start = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Long: ";
		const head = (length: number) => Buffer.from(start.padEnd(length, "x"));
		expect(found(sniffHttp(), head(64 * 1024 - 1))).toBe("more");
		expect(found(sniffHttp(), head(64 * 1024))).toBe("none");
	});
});
