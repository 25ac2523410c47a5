import type { App } from "../app.ts";
import { Nothing } from "../schemas.ts";

/** Says that the server answers; needs no key. */
export function healthRoutes(app: App): void {
	const schema = { tags: ["health"], summary: "Is the server there?", response: { 204: Nothing } };
	app.get("/health", { schema }, async (_request, reply) => reply.code(204).send(null));
}
