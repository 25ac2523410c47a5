/** What tests expect to find: the team that calls, its key, the operator's token, the server's domain. */
import type { Team } from "../../control/index.ts";

export const API_KEY = `e2b_${"0123456789abcdef".repeat(2)}01234567`;
export const ADMIN_TOKEN = "admin-secret";
export const DOMAIN = "sandboxes.test:8443";
export const TEAM: Team = { id: "team-1", slug: "acme" };
export const CREATED_AT = new Date("2026-01-02T03:04:05Z");
