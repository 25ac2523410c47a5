/** Network options of a request, without those that were not sent. */
import type { Static } from "typebox";
import type { NetworkOptions } from "../control/index.ts";
import type { NetworkUpdate, NewSandbox } from "./schemas.ts";

type NewNetwork = NonNullable<Static<typeof NewSandbox>["network"]>;

export function networkOf(network: NewNetwork): NetworkOptions {
	const { allowPublicTraffic, maskRequestHost, httpsPorts } = network;
	return {
		...(allowPublicTraffic !== undefined && { allowPublicTraffic }),
		...egressOf(network),
		...(maskRequestHost !== undefined && { maskRequestHost }),
		...(httpsPorts && { httpsPorts }),
	};
}

export function egressOf({
	allowOut,
	denyOut,
	egressProxy,
}: Pick<Static<typeof NetworkUpdate>, "allowOut" | "denyOut" | "egressProxy">): NetworkOptions {
	return { ...(allowOut && { allowOut }), ...(denyOut && { denyOut }), ...(egressProxy && { egressProxy }) };
}
