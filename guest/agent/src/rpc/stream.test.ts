import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StartRequestSchema } from "../../../../src/protocol/gen/process_pb.js";
import { TestAgent } from "../../testing/agent.ts";

let agent: TestAgent;

beforeAll(async () => {
	agent = await TestAgent.start();
}, 60_000);

afterAll(async () => {
	await agent[Symbol.asyncDispose]();
});

const JSON_TYPE = "application/connect+json";
const PROTO_TYPE = "application/connect+proto";

function envelope(payload: Uint8Array | string): Buffer {
	const body = Buffer.from(payload);
	const head = Buffer.alloc(5);
	head.writeUInt32BE(body.length, 1);
	return Buffer.concat([head, body]);
}

const starts = (process: object) => envelope(JSON.stringify({ process, stdin: false }));
const shell = (script: string) => ({ cmd: "sh", args: ["-c", script] });
const hello = { cmd: "echo", args: ["hello"], envs: {} };

interface Call {
	readonly body: Buffer;
	readonly headers: Readonly<Record<string, string>>;
}

/** Status, fields and body of an answer; pids differ between two that are otherwise the same. */
async function answer({ body, headers }: Call): Promise<unknown> {
	const sent = request(`${agent.url}/process.Process/Start`, { method: "POST", headers });
	sent.end(body);
	const [response]: [IncomingMessage] = (await once(sent, "response")) as [IncomingMessage];
	const { date: _date, ...fields } = response.headers;
	const said = (await text(response)).replace(/"pid":\d+/, "");
	return { status: response.statusCode, fields, said };
}

describe("a stream asked for in an unusual way has the answer of the usual one", () => {
	const calls: Record<string, Call> = {
		"a command": { body: starts(shell("echo out; exit 3")), headers: {} },
		"a command in the binary format": {
			body: envelope(toBinary(StartRequestSchema, create(StartRequestSchema, { process: { ...hello, cmd: "/none" } }))),
			headers: { "content-type": PROTO_TYPE },
		},
		"fields that nobody knows": { body: envelope(JSON.stringify({ process: hello, new: 1 })), headers: {} },
		"time that is over": { body: starts(shell("sleep 60")), headers: { "connect-timeout-ms": "300" } },
		"no program": { body: starts({}), headers: {} },
		"a program that is not there": { body: starts({ cmd: "/none" }), headers: {} },
		"a user who is not there": {
			body: starts(hello),
			headers: { authorization: `Basic ${Buffer.from("nobody-here:").toString("base64")}` },
		},
		"a message that is none": { body: envelope("{"), headers: {} },
		"two messages": { body: Buffer.concat([starts(hello), starts(hello)]), headers: {} },
		"half an envelope": { body: starts(hello).subarray(0, -1), headers: {} },
	};
	const unusual: Record<string, (call: Call) => Call["headers"]> = {
		"of unknown length": () => ({ "transfer-encoding": "chunked" }),
		"with a type in capitals": ({ headers }) => ({ "content-type": (headers["content-type"] ?? JSON_TYPE).toUpperCase() }),
	};

	describe.each(Object.entries(unusual))("%s", (_way, change) => {
		test.each(Object.entries(calls))("%s", async (_name, { body, headers }) => {
			const usual = { body, headers: { "content-type": JSON_TYPE, "content-length": String(body.length), ...headers } };
			const plain = change({ body, headers });
			const length = plain["transfer-encoding"] === undefined ? { "content-length": String(body.length) } : {};
			const other = { body, headers: { "content-type": JSON_TYPE, ...headers, ...length, ...plain } };
			expect(await answer(other)).toEqual(await answer(usual));
		});
	});
});
