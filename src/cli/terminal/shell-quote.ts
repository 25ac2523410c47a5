const PLAIN = /^[A-Za-z0-9_./:@%+=,-]+$/;

/** One word for a POSIX shell, whatever is in it. */
export function shellQuote(text: string): string {
	return PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
