/** Requests as a client makes them on the wire, where the SDK hides what a test wants to see. */

/** Where a daemon, or a service of it, listens. */
export interface Place {
	readonly url: string;
}

export type Headers = Readonly<Record<string, string>>;

// biome-ignore lint/suspicious/noExplicitAny: tests look into it as they please
export type Json = any;

/** The body of an answer. */
export async function json(answer: Response | Promise<Response>): Promise<Json> {
	return await (await answer).json();
}

/** One unary call. */
export async function unary(agent: Place, method: string, body: unknown, headers: Headers = {}): Promise<Response> {
	return await fetch(`${agent.url}/${method}`, {
		method: "POST",
		body: JSON.stringify(body),
		headers: { "content-type": "application/json", ...headers },
	});
}

function envelope(body: unknown): Buffer {
	const payload = Buffer.from(JSON.stringify(body));
	const head = Buffer.alloc(5);
	head.writeUInt32BE(payload.length, 1);
	return Buffer.concat([head, payload]);
}

export interface StreamMessage {
	/** 2 on the last one. */
	readonly flags: number;
	readonly body: Json;
}

/** One client-streaming call; the messages of the answer. */
export async function clientStream(agent: Place, method: string, bodies: readonly unknown[]): Promise<StreamMessage[]> {
	const body = Buffer.concat(bodies.map(envelope));
	return await collect(messagesOf(await post(agent, method, body, {})));
}

/** One server-streaming call; the messages as they come. */
export async function* stream(
	agent: Place,
	method: string,
	body: unknown,
	options: { headers?: Headers; signal?: AbortSignal } = {},
): AsyncGenerator<StreamMessage> {
	yield* messagesOf(await post(agent, method, envelope(body), options));
}

async function post(
	agent: Place,
	method: string,
	body: Buffer,
	options: { headers?: Headers; signal?: AbortSignal },
): Promise<ReadableStream<Uint8Array>> {
	const response = await fetch(`${agent.url}/${method}`, {
		method: "POST",
		body: new Uint8Array(body),
		headers: { "content-type": "application/connect+json", ...options.headers },
		signal: options.signal ?? null,
	});
	if (response.status !== 200 || response.body === null) throw new Error(`${method}: HTTP ${response.status}`);
	return response.body;
}

async function* messagesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamMessage> {
	let rest = Buffer.alloc(0);
	for await (const chunk of body) {
		rest = Buffer.concat([rest, chunk]);
		while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
			const end = 5 + rest.readUInt32BE(1);
			yield { flags: rest.readUInt8(0), body: JSON.parse(rest.toString("utf8", 5, end)) };
			rest = rest.subarray(end);
		}
	}
}

export async function collect(messages: AsyncGenerator<StreamMessage>): Promise<StreamMessage[]> {
	return await Array.fromAsync(messages);
}
