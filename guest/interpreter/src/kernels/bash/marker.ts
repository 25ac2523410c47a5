/** Splits the output of a shell at markers `\0<marker> <status>\0`, which may arrive in several chunks. */
export class MarkerSplitter {
	readonly #start: string;
	#held = "";

	constructor(marker: string) {
		this.#start = `\0${marker} `;
	}

	/** What `chunk` completes: text as it came, and the statuses of markers. */
	push(chunk: string): ({ readonly text: string } | { readonly status: number })[] {
		const pieces: ({ readonly text: string } | { readonly status: number })[] = [];
		let rest = this.#held + chunk;
		this.#held = "";
		for (;;) {
			const start = rest.indexOf(this.#start);
			if (start < 0) break;
			const end = rest.indexOf("\0", start + this.#start.length);
			if (end < 0) break;
			if (start > 0) pieces.push({ text: rest.slice(0, start) });
			pieces.push({ status: Number(rest.slice(start + this.#start.length, end)) });
			rest = rest.slice(end + 1);
		}
		const held = this.#beginsAt(rest);
		this.#held = rest.slice(held);
		if (held > 0) pieces.push({ text: rest.slice(0, held) });
		return pieces;
	}

	/** Where an incomplete marker begins, or the length of `text`. */
	#beginsAt(text: string): number {
		for (let at = text.indexOf("\0"); at >= 0; at = text.indexOf("\0", at + 1)) {
			const tail = text.slice(at);
			if (this.#start.startsWith(tail) || tail.startsWith(this.#start)) return at;
		}
		return text.length;
	}
}
