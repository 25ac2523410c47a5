/**
 * The frames between the daemon and sysd (guest/agent/sysd): one byte type, four bytes length (little endian),
 * payload. Lists are a count and the elements; strings and bytes a length and the bytes.
 */

import { SysdError } from "./errno.ts";

const HEAD = 5;

/** Bytes of a payload; sysd drops a peer that sends more, with all that it waits for. */
const MAX_FRAME = 8 * 1024 * 1024;
const E2BIG = 7;

/** @throws SysdError E2BIG */
export function requireSendable(frame: Buffer): void {
	if (frame.length - HEAD > MAX_FRAME) throw new SysdError(E2BIG, `a request of ${frame.length} bytes`);
}

export interface Frame {
	/** One letter. */
	readonly type: string;
	readonly payload: Buffer;
}

/** Builds one frame. */
export class FrameWriter {
	private readonly parts: Buffer[] = [];

	u32(...values: number[]): this {
		const part = Buffer.allocUnsafe(4 * values.length);
		values.forEach((value, index) => {
			part.writeUInt32LE(value >>> 0, 4 * index);
		});
		this.parts.push(part);
		return this;
	}

	u64(value: number): this {
		const part = Buffer.allocUnsafe(8);
		part.writeBigUInt64LE(BigInt(value));
		this.parts.push(part);
		return this;
	}

	bytes(value: Uint8Array): this {
		this.u32(value.length);
		return this.raw(value);
	}

	string(value: string): this {
		return this.bytes(Buffer.from(value));
	}

	strings(values: readonly string[]): this {
		this.u32(values.length);
		for (const value of values) this.string(value);
		return this;
	}

	/** Bytes without a length before them. */
	raw(value: Uint8Array): this {
		this.parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
		return this;
	}

	frame(type: string): Buffer {
		const length = this.parts.reduce((sum, part) => sum + part.length, 0);
		const head = Buffer.allocUnsafe(HEAD);
		head.write(type, "latin1");
		head.writeUInt32LE(length, 1);
		return Buffer.concat([head, ...this.parts], HEAD + length);
	}
}

/** Reads a payload front to back. */
export class FrameReader {
	private readonly payload: Buffer;
	private at = 0;

	constructor(payload: Buffer) {
		this.payload = payload;
	}

	get atEnd(): boolean {
		return this.at >= this.payload.length;
	}

	u32(): number {
		const value = this.payload.readUInt32LE(this.at);
		this.at += 4;
		return value;
	}

	bytes(): Buffer {
		const length = this.u32();
		const value = this.payload.subarray(this.at, this.at + length);
		this.at += length;
		return value;
	}

	string(): string {
		return this.bytes().toString();
	}
}

/** Not a part of length 0 of what was read last: that would keep all 64 KiB of it. */
const EMPTY = Buffer.alloc(0);

/** Cuts a byte stream into frames. */
export class FrameSplitter {
	private rest: Buffer = EMPTY;

	/** The frames that are complete with `chunk`; their payloads share its memory. */
	push(chunk: Buffer): Frame[] {
		let data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
		const frames: Frame[] = [];
		while (data.length >= HEAD) {
			const end = HEAD + data.readUInt32LE(1);
			if (data.length < end) break;
			frames.push({ type: data.toString("latin1", 0, 1), payload: data.subarray(HEAD, end) });
			data = data.subarray(end);
		}
		this.rest = data.length === 0 ? EMPTY : data;
		return frames;
	}
}
