/** Conversions between columns and values. Reading checks: a damaged row is an error here, not a riddle further on. */
import { type Static, type TSchema, Type } from "typebox";
import { Value } from "typebox/value";

const StringMap = Type.Record(Type.String(), Type.String());
const NumberMap = Type.Record(Type.String(), Type.Number());

const Network = Type.Object({
	allowPublicTraffic: Type.Optional(Type.Boolean()),
	allowOut: Type.Optional(Type.Array(Type.String())),
	denyOut: Type.Optional(Type.Array(Type.String())),
	maskRequestHost: Type.Optional(Type.String()),
	httpsPorts: Type.Optional(Type.Array(Type.Integer())),
	egressProxy: Type.Optional(
		Type.Object({
			address: Type.String(),
			username: Type.Optional(Type.String()),
			password: Type.Optional(Type.String()),
		}),
	),
	rules: Type.Optional(
		Type.Record(
			Type.String(),
			Type.Array(Type.Object({ transform: Type.Optional(Type.Object({ headers: Type.Optional(StringMap) })) })),
		),
	),
});

/** Network options of a sandbox as they were asked for. */
export type NetworkRecord = Readonly<{
	allowPublicTraffic?: boolean;
	allowOut?: readonly string[];
	denyOut?: readonly string[];
	maskRequestHost?: string;
	httpsPorts?: readonly number[];
	egressProxy?: Readonly<{ address: string; username?: string; password?: string }>;
	/** By host name or wildcard. */
	rules?: Readonly<Record<string, readonly NetworkRule[]>>;
}>;

export type NetworkRule = Readonly<{ transform?: Readonly<{ headers?: Readonly<Record<string, string>> }> }>;

function readJson<T extends TSchema>(schema: T, text: string, column: string): Static<T> {
	const value: unknown = JSON.parse(text);
	if (!Value.Check(schema, value)) throw new Error(`column ${column} holds something else than expected`);
	return value;
}

export function readStringMap(text: string, column: string): Readonly<Record<string, string>> {
	return readJson(StringMap, text, column);
}

export function readNumberMap(text: string, column: string): Readonly<Record<string, number>> {
	return readJson(NumberMap, text, column);
}

export function readNetwork(text: string | null): NetworkRecord | undefined {
	return text === null ? undefined : readJson(Network, text, "network");
}

export function readTime(text: string): Date {
	const time = new Date(text);
	if (Number.isNaN(time.getTime())) throw new Error(`'${text}' is not a time`);
	return time;
}

export function readOptionalTime(text: string | null): Date | undefined {
	return text === null ? undefined : readTime(text);
}

export function readWord<T extends string>(words: readonly T[], text: string, column: string): T {
	const word = words.find((candidate) => candidate === text);
	if (word === undefined) throw new Error(`column ${column} holds '${text}', which is none of ${words.join(", ")}`);
	return word;
}

export function writeTime(time: Date): string {
	return time.toISOString();
}

export function writeFlag(flag: boolean): number {
	return flag ? 1 : 0;
}
