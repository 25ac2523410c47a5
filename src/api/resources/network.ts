/** Changing what a running sandbox may reach. */
import { parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { egressOf } from "../network.ts";
import { answers, NetworkUpdate, Nothing, SandboxPath } from "../schemas.ts";
import { assertPlainProxy } from "../unavailable.ts";

export function networkRoutes(app: App, { control, signal }: ApiContext): void {
	app.put(
		"/sandboxes/:sandboxID/network",
		{
			schema: {
				tags: ["sandboxes"],
				summary: "Replace what a running sandbox may reach",
				params: SandboxPath,
				body: NetworkUpdate,
				response: answers({ 204: Nothing }),
			},
		},
		async (request, reply) => {
			assertPlainProxy("egressProxy", request.body.egressProxy);
			const id = parseSandboxId(request.params.sandboxID);
			const { allow_internet_access: allowInternetAccess, ...egress } = request.body;
			await control.setNetwork(teamOf(request), id, { ...egressOf(egress), allowInternetAccess }, signal);
			return reply.code(204).send(null);
		},
	);
}
