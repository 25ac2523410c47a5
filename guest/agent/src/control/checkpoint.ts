import { errnoOf } from "../errors.ts";
import { log } from "../log.ts";
import type { Session } from "../session.ts";
import type { Sysd } from "../sysd/sysd.ts";

/** Locks the session after every restore. No effect on a kernel that does not tell of them. */
export async function watchCheckpoints(sysd: Sysd, session: Session): Promise<void> {
	const onCheckpoint = (outcome: string) => {
		if (outcome === "restore") session.restored().catch((error: unknown) => log("the session could not be kept", error));
	};
	try {
		await sysd.watchCheckpoints(onCheckpoint, () => undefined);
		session.expectNotices();
	} catch (error) {
		if (errnoOf(error) !== "ENOENT") log("checkpoints cannot be watched", error);
	}
}
