/** Network options of a request, without those that were not sent. */
import type { Static } from "typebox";
import type { EgressProxyOptions, NetworkOptions } from "../control/index.ts";
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

type Egress = Pick<Static<typeof NetworkUpdate>, "allowOut" | "denyOut" | "egressProxy" | "rules">;

export function egressOf({ allowOut, denyOut, egressProxy, rules }: Egress): NetworkOptions {
	return {
		...(allowOut && { allowOut }),
		...(denyOut && { denyOut }),
		...(egressProxy && { egressProxy: proxyOf(egressProxy) }),
		...(rules && { rules }),
	};
}

function proxyOf({ address, username, password }: NonNullable<Egress["egressProxy"]>): EgressProxyOptions {
	return { address, ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}
