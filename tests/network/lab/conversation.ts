/**
 * The test's end of a program that talks with a server: each IPC message is a word to say, its answer what is heard next,
 * "closed", or "timeout".
 */
export interface Conversation {
	/** For whatever the server says. */
	heard(text: string): void;
	/** The connection has ended: every further word is answered so. */
	closed(): void;
}

/** Tells the test that the conversation is open. @param timeoutMs how long an answer is waited for */
export function converse(say: (word: string) => void, timeoutMs: number): Conversation {
	let answer: (text: string) => void = () => {};
	let closed = false;
	process.on("message", (word: string) => {
		if (closed) return process.send?.("closed");
		const timer = setTimeout(() => answer("timeout"), timeoutMs);
		answer = (text) => {
			clearTimeout(timer);
			answer = () => {};
			process.send?.(text);
		};
		say(word);
	});
	process.send?.("open");
	return {
		heard: (text) => answer(text),
		closed: () => {
			closed = true;
			answer("closed");
		},
	};
}
