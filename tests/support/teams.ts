import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inject } from "vitest";
import { rest } from "./rest.ts";

/** A team of its own on the shared server, made as an operator would. */
export async function newTeam(): Promise<{ readonly teamId: string; readonly slug: string; readonly apiKey: string }> {
	const token = (await readFile(join(inject("server").dataDir, "admin-token"), "utf8")).trim();
	const slug = `team-${randomBytes(6).toString("hex")}`;
	const { status, body } = await rest("POST", "/admin/teams", { slug }, { "X-Admin-Token": token });
	if (status !== 201) throw new Error(`no team: ${status} ${JSON.stringify(body)}`);
	return { teamId: body.teamID, slug, apiKey: body.apiKey };
}
