/**
 * Header fields for Connect, which makes some for every request through the global class `Headers`. Node's own is a part
 * of its HTTP client: the first use of it loads that client with TLS and HTTP/2, which takes 60 ms of the first request
 * and 5 MB of every memory image.
 */

type Source = ConstructorParameters<typeof Headers>[0];

/**
 * As `Headers`, for fields that Node has parsed or will check: names are compared in lower case, values of one name are
 * joined by commas, and nothing is refused.
 */
export class PlainHeaders implements Headers {
	private readonly fields = new Map<string, string>();
	private readonly cookies: string[] = [];

	constructor(source?: Source) {
		if (source === undefined) return;
		for (const [name, value] of entriesOf(source)) this.append(String(name), String(value));
	}

	append(name: string, value: string): void {
		const key = name.toLowerCase();
		const text = trim(value);
		if (key === "set-cookie") this.cookies.push(text);
		const before = this.fields.get(key);
		this.fields.set(key, before === undefined ? text : `${before}, ${text}`);
	}

	set(name: string, value: string): void {
		this.delete(name);
		this.append(name, value);
	}

	delete(name: string): void {
		const key = name.toLowerCase();
		if (key === "set-cookie") this.cookies.length = 0;
		this.fields.delete(key);
	}

	get(name: string): string | null {
		return this.fields.get(name.toLowerCase()) ?? null;
	}

	has(name: string): boolean {
		return this.fields.has(name.toLowerCase());
	}

	getSetCookie(): string[] {
		return [...this.cookies];
	}

	forEach(visit: (value: string, name: string, headers: Headers) => void, receiver?: unknown): void {
		for (const [name, value] of this) visit.call(receiver, value, name, this);
	}

	/** Sorted by name; cookies one by one, as they cannot be joined. */
	*entries(): ReturnType<Headers["entries"]> {
		const names = [...this.fields.keys()].sort();
		for (const name of names) {
			if (name === "set-cookie") for (const cookie of this.cookies) yield [name, cookie];
			else yield [name, this.get(name) ?? ""];
		}
	}

	*keys(): ReturnType<Headers["keys"]> {
		for (const [name] of this) yield name;
	}

	*values(): ReturnType<Headers["values"]> {
		for (const [, value] of this) yield value;
	}

	[Symbol.iterator](): ReturnType<Headers["entries"]> {
		return this.entries();
	}
}

function entriesOf(source: NonNullable<Source>): Iterable<readonly unknown[]> {
	return Symbol.iterator in source ? source : Object.entries(source);
}

function trim(value: string): string {
	return value.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
}

/** Makes every later use of the global `Headers` one of `PlainHeaders`. */
export function replaceHeaders(): void {
	globalThis.Headers = PlainHeaders;
}
