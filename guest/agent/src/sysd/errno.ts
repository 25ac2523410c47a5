import { getSystemErrorMap } from "node:util";

/** A failed system call in sysd; `code` is the errno's name, as in Node's own errors. */
export class SysdError extends Error {
	override readonly name = "SysdError";
	/** Positive, as the kernel has it. */
	readonly errno: number;
	readonly code: string;
	/** The kernel's words for it: "no such file or directory". */
	readonly reason: string;

	constructor(errno: number, what: string) {
		const [code, reason] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, `error ${errno}`];
		super(`${what}: ${reason}`);
		this.errno = errno;
		this.code = code;
		this.reason = reason;
	}
}
