import type { Migration, MigrationProvider } from "kysely/migration";
import * as initial from "./001_initial.ts";

/** Every change of the schema, oldest first by name. One that was released is never edited. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
	"001_initial": initial,
};

export const migrations: MigrationProvider = {
	getMigrations: async () => ({ ...MIGRATIONS }),
};
