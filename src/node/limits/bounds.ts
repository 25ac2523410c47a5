import { type ContainerPressure, type ContainerUsage, ENGINE_BYTES, type Resources } from "../../engine/index.ts";

/** When a container has taken too much, and how soon it must be looked at again. Pure arithmetic. */
const MB = 1024 * 1024;
/** What the sandbox's own services hold. */
const SERVICES_BYTES = 32 * MB;
/** Faster than a guest can allocate on any machine that was measured: bytes in a millisecond. */
const FASTEST_GROWTH = 4 * MB;
const SOONEST_MS = 5;
const LATEST_MS = 500;
/** Of the host tasks a container may have. */
const TASKS_SHARE = 0.75;
/** Host tasks above which a guest may have so many processes that it answers late. */
const MANY_TASKS = 256;

/** Bytes of the guest above which one of its processes must end. */
export function memoryBound({ memoryMB }: Resources): number {
	return memoryMB * MB + SERVICES_BYTES;
}

/** Bytes of guest and engine together above which a guest process must end, since the host's hard limit is near. */
export function hostBound({ memoryMB }: Resources): number {
	return memoryMB * MB + ENGINE_BYTES;
}

/** Bytes that a guest above its bound is brought below it: so many that the next victim is not due at once. */
export function marginBytes(resources: Resources): number {
	return memoryBound(resources) * 0.25;
}

/** Bytes above the bounds; 0 or less within them. */
export function excessBytes({ guestBytes, engineBytes }: ContainerPressure, resources: Resources): number {
	return Math.max(guestBytes - memoryBound(resources), guestBytes + engineBytes - hostBound(resources));
}

/** Host tasks above which guest processes must end whatever the guest itself allows. */
export function tasksBound(maxTasks: number): number {
	return Math.floor(maxTasks * TASKS_SHARE);
}

/** True while a guest may have so many processes that it must be looked at, and stopped to be spoken to. */
export function isCrowded({ tasks }: ContainerUsage): boolean {
	return tasks > MANY_TASKS;
}

/** True while the charged bytes, which include file cache, are so many that the exact figure is needed. */
export function needsExactFigure({ chargedBytes }: ContainerUsage, resources: Resources): boolean {
	return chargedBytes > memoryBound(resources) / 2;
}

/** ms until a container that has so many bytes left could reach its bound. */
export function nextLook(roomBytes: number): number {
	return Math.min(LATEST_MS, Math.max(SOONEST_MS, Math.floor(roomBytes / FASTEST_GROWTH)));
}
