/** Pages of a list, by number. */
export function page<T>(items: readonly T[], limit: number, token: string | undefined) {
	const from = Number(token ?? 0);
	const to = from + limit;
	return { items: items.slice(from, to), nextToken: to < items.length ? String(to) : undefined };
}
