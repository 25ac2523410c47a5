import type { Cgroups } from "../cgroups/index.ts";
import type { ContainerLimits, Resources } from "../types.ts";
import { openControlSocket } from "./control-socket.ts";
import { HEAD_ROOM_BYTES, SLOW_ROOM_BYTES } from "./room.ts";

/**
 * Limits of gVisor containers. A sandbox that meets a host limit ends as a whole: the kernel's OOM killer picks the
 * engine, and an engine that cannot start a thread gives up. So the hard limits lie well above what the guest was
 * promised, and whoever watches ends guest processes before they are met.
 */

/** Host tasks of one container: up to four for each guest process, of which the guest allows its programs 1,024. */
export const MAX_TASKS = 6144;

export function containerLimits(cgroups: Cgroups, stateDir: string): ContainerLimits {
	return {
		maxTasks: MAX_TASKS,
		usage: (id) => cgroups.usage(id),
		pressure: (id) => cgroups.pressure(id),
		tighten: (id, resources) => {
			const guest = guestBytes(resources);
			return cgroups.bound(id, { high: guest + SLOW_ROOM_BYTES, max: guest + HEAD_ROOM_BYTES });
		},
		processes: async (id, signal) => (await openControlSocket(stateDir, id)).processes(signal),
		threads: async (id, signal) => (await openControlSocket(stateDir, id)).threads(signal),
		killProcess: async (id, pid, signal) => (await openControlSocket(stateDir, id)).killProcess(pid, signal),
		killGroup: async (id, groupId, signal) => (await openControlSocket(stateDir, id)).killGroup(groupId, signal),
		programs: async (id, signal) => (await openControlSocket(stateDir, id)).programs(signal),
		killPrograms: async (id, signal) => (await openControlSocket(stateDir, id)).killPrograms(signal),
	};
}

function guestBytes({ memoryMB }: Resources): number {
	return memoryMB * 1024 * 1024;
}
