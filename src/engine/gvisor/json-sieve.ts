/**
 * Reads a JSON text that comes in pieces and keeps of it only the members that are asked for. The rest, which a guest may
 * make many times larger, is neither held nor decoded nor parsed: it costs a look at each byte, while its piece is here.
 * What is kept is JSON again, with null for every value that was dropped.
 */
export interface Wanted {
	/** Names of members, at any depth. */
	readonly members: ReadonlySet<string>;
	/** Members whose value is a list of which only so many first elements are kept. */
	readonly firstOf?: ReadonlyMap<string, number>;
}

/** The paths of programs, and what tells errors apart, are shorter. A longer string is kept as an empty one. */
const MAX_STRING_BYTES = 512;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NULL = Buffer.from("null");
const FIRST_BYTES = 4096;

/** What a byte is outside of strings. */
const PLAIN = 0;
const STRING = 1;
const OPEN = 2;
const CLOSE = 3;
const COLON = 4;
const COMMA = 5;
const KINDS: readonly [string, number][] = [
	['"', STRING],
	["{", OPEN],
	["[", OPEN],
	["}", CLOSE],
	["]", CLOSE],
	[":", COLON],
	[",", COMMA],
];
const KIND = new Uint8Array(256);
for (const [character, kind] of KINDS) KIND[character.charCodeAt(0)] = kind;

/** A part that is being dropped: of what lies so deep, one value or all that is left. */
interface Dropped {
	readonly depth: number;
	readonly isRest: boolean;
}

export class JsonSieve {
	readonly #wanted: Wanted;
	/** How many objects and lists are open. */
	#depth = 0;
	#inString = false;
	/** The byte before was a backslash that counts. */
	#escaped = false;
	#dropped: Dropped | undefined;
	/** The innermost list that is kept in part. */
	#list: { readonly depth: number; left: number } | undefined;
	#kept = Buffer.allocUnsafe(FIRST_BYTES);
	#length = 0;
	/** Where in `#kept` the last string begins. */
	#stringAt = 0;
	#isWhole = false;

	constructor(wanted: Wanted) {
		this.#wanted = wanted;
	}

	/** @returns true when the text is whole, which the form of an object or a list tells */
	write(piece: Buffer): boolean {
		for (let at = 0; at < piece.length && !this.#isWhole; at++) {
			const byte = piece[at] ?? 0;
			if (this.#inString) this.#takeInString(byte);
			else this.#take(byte);
		}
		return this.#isWhole;
	}

	get keptBytes(): number {
		return this.#length;
	}

	/** @throws SyntaxError when the text was not JSON */
	parse(): unknown {
		return JSON.parse(this.#kept.toString("utf8", 0, this.#length));
	}

	#takeInString(byte: number): void {
		this.#keepInString(byte);
		if (this.#escaped) this.#escaped = false;
		else if (byte === BACKSLASH) this.#escaped = true;
		else if (byte === QUOTE) {
			this.#inString = false;
			this.#endString();
		}
	}

	#keepInString(byte: number): void {
		if (this.#dropped === undefined && this.#length - this.#stringAt <= MAX_STRING_BYTES) this.#keep(byte);
	}

	#endString(): void {
		if (this.#dropped !== undefined || this.#length - this.#stringAt <= MAX_STRING_BYTES) return;
		this.#length = this.#stringAt;
		this.#keep(QUOTE);
		this.#keep(QUOTE);
	}

	#take(byte: number): void {
		const kind = KIND[byte] ?? PLAIN;
		if (kind === CLOSE || kind === COMMA) this.#endDropped(kind);
		if (kind === OPEN) this.#depth++;
		if (kind === CLOSE) this.#close();
		if (kind === STRING) this.#beginString();
		if (this.#dropped !== undefined) return;
		if (kind === COMMA && this.#isListFull()) this.#dropped = { depth: this.#depth, isRest: true };
		else this.#keep(byte);
		if (kind === COLON) this.#beginMember();
	}

	#beginString(): void {
		this.#inString = true;
		this.#stringAt = this.#length;
	}

	#endDropped(kind: number): void {
		const dropped = this.#dropped;
		if (dropped?.depth === this.#depth && (kind === CLOSE || !dropped.isRest)) this.#dropped = undefined;
	}

	#close(): void {
		this.#leaveList();
		this.#depth--;
		this.#isWhole = this.#depth <= 0;
	}

	/** The last string was its name. */
	#beginMember(): void {
		const name = this.#kept.toString("utf8", this.#stringAt + 1, this.#kept.lastIndexOf(QUOTE, this.#length - 1));
		const first = this.#wanted.firstOf?.get(name);
		if (first !== undefined) this.#list = { depth: this.#depth + 1, left: first };
		else if (!this.#wanted.members.has(name)) this.#drop();
	}

	#drop(): void {
		for (const byte of NULL) this.#keep(byte);
		this.#dropped = { depth: this.#depth, isRest: false };
	}

	/** With its bracket; where null stood for it, with the next comma or brace. */
	#leaveList(): void {
		if (this.#list !== undefined && this.#list.depth >= this.#depth) this.#list = undefined;
	}

	/** At a comma. */
	#isListFull(): boolean {
		if (this.#list === undefined) return false;
		if (this.#list.depth > this.#depth) this.#leaveList();
		if (this.#list?.depth !== this.#depth) return false;
		this.#list.left--;
		return this.#list.left <= 0;
	}

	#keep(byte: number): void {
		if (this.#length === this.#kept.length) {
			const larger = Buffer.allocUnsafe(2 * this.#length);
			this.#kept.copy(larger);
			this.#kept = larger;
		}
		this.#kept[this.#length++] = byte;
	}
}
