/** Which coding a download is sent in. */
import { HttpError } from "../errors.ts";

interface Coding {
	readonly name: string;
	readonly weight: number;
}

function parseCodings(header: string): Coding[] {
	return header
		.split(",")
		.map((item) => {
			const [name = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
			const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
			return { name, weight: weight === undefined ? 1 : Number(weight) };
		})
		.filter(({ name, weight }) => name !== "" && !Number.isNaN(weight));
}

/**
 * gzip only for those who ask for nothing else: HTTP libraries offer `gzip, deflate` unasked, and compressing costs more
 * time than the short way to them saves.
 * @throws HttpError 406 when neither gzip nor identity is acceptable
 */
export function chooseEncoding(header: string | undefined): "gzip" | "identity" {
	if (header === undefined || header.trim() === "") return "identity";
	const codings = parseCodings(header);
	const weightOf = (name: string) => codings.find((coding) => coding.name === name)?.weight;
	const any = weightOf("*");
	const gzip = (weightOf("gzip") ?? any ?? 0) > 0;
	const identity = (weightOf("identity") ?? any ?? 1) > 0;
	if (!gzip && !identity) throw new HttpError(406, "no acceptable encoding: gzip and identity are supported");
	const onlyGzip = codings.every(({ name, weight }) => name === "gzip" || weight === 0 || name === "identity");
	const preferred = (weightOf("gzip") ?? 0) >= (weightOf("identity") ?? 0);
	return gzip && (!identity || (onlyGzip && preferred)) ? "gzip" : "identity";
}
