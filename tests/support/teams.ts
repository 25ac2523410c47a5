import { randomBytes } from "node:crypto";
import { asOperator } from "./operator.ts";

/** A team of its own on the shared server, made as an operator would. */
export async function newTeam(): Promise<{ readonly teamId: string; readonly slug: string; readonly apiKey: string }> {
	const slug = `team-${randomBytes(6).toString("hex")}`;
	const { status, body } = await asOperator("POST", "/admin/teams", { slug });
	if (status !== 201) throw new Error(`no team: ${status} ${JSON.stringify(body)}`);
	return { teamId: body.teamID, slug, apiKey: body.apiKey };
}
