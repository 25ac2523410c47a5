import type { Migration, MigrationProvider } from "kysely/migration";
import * as initial from "./001_initial.ts";
import * as controlPlane from "./002_control_plane.ts";
import * as pauseModes from "./003_pause_modes.ts";
import * as measures from "./004_measures.ts";
import * as teamLimits from "./005_team_limits.ts";
import * as tagHistory from "./006_tag_history.ts";

/** Every change of the schema, oldest first by name. One that was released is never edited. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
	"001_initial": initial,
	"002_control_plane": controlPlane,
	"003_pause_modes": pauseModes,
	"004_measures": measures,
	"005_team_limits": teamLimits,
	"006_tag_history": tagHistory,
};

export const migrations: MigrationProvider = {
	getMigrations: async () => ({ ...MIGRATIONS }),
};
