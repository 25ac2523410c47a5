import type { ColdStart, ContainerConfig, Resources, SpecTemplate } from "../types.ts";

/**
 * The OCI runtime specification of a sandbox. What restore demands to be equal (arguments, mounts, limits,
 * capabilities) lives in the spec that is stored with an artifact; what may differ between hosts and incarnations
 * (root path, network namespace) is bound just before a start.
 * Source: OCI runtime specification 1.0.2; gVisor's restore-spec-validation.
 */

const INIT = ["/opt/offshoot/bin/tini", "-s", "--", "/opt/offshoot/bin/busybox", "sh", "/opt/offshoot/bin/init"];

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What root may do in a guest. They act on the guest's own kernel only, so root there is as able as on a machine. */
const CAPABILITIES = [
	"CAP_AUDIT_WRITE",
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_IPC_LOCK",
	"CAP_KILL",
	"CAP_LINUX_IMMUTABLE",
	"CAP_MKNOD",
	"CAP_NET_ADMIN",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_RAW",
	"CAP_SETFCAP",
	"CAP_SETGID",
	"CAP_SETPCAP",
	"CAP_SETUID",
	"CAP_SYS_ADMIN",
	"CAP_SYS_CHROOT",
	"CAP_SYS_NICE",
	"CAP_SYS_PTRACE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
];

const MOUNTS = [
	{ destination: "/proc", type: "proc", source: "proc" },
	{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
	{ destination: "/dev/pts", type: "devpts", source: "devpts" },
	{ destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "nodev", "mode=1777"] },
	{ destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
	{ destination: "/run", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=755"] },
	// gVisor puts a tmpfs of its own on a /tmp without mounts: its files would count as memory and be lost with it.
	{ destination: "/tmp/.X11-unix", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777", "size=1m"] },
];

const MB = 1024 * 1024;
/** Files in memory count as the guest's memory, and no process can be ended to get it back: half of it at most, as Linux has it. */
function mounts({ memoryMB }: Resources): readonly object[] {
	const size = `size=${Math.floor(memoryMB / 2)}m`;
	return MOUNTS.map((mount) =>
		IN_MEMORY.includes(mount.destination) ? { ...mount, options: [...(mount.options ?? []), size] } : mount,
	);
}

const IN_MEMORY = ["/dev/shm", "/run"];

const OPEN_FILES = 1_048_576;

/**
 * A spec for something new, with init's environment completed by `env` (the guest agent's first control key, whether
 * the interpreter runs).
 */
export function newSpec(resources: Resources, env: Readonly<Record<string, string>>): SpecTemplate {
	return {
		ociVersion: "1.0.2",
		process: {
			user: { uid: 0, gid: 0 },
			args: INIT,
			env: [`PATH=${PATH}`, "HOME=/root", ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
			cwd: "/",
			capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES, inheritable: [] },
			rlimits: [{ type: "RLIMIT_NOFILE", hard: OPEN_FILES, soft: OPEN_FILES }],
			noNewPrivileges: false,
		},
		root: { readonly: false },
		hostname: "sandbox",
		mounts: mounts(resources),
		linux: {
			resources: { memory: { limit: resources.memoryMB * MB } },
			namespaces: [{ type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }, { type: "network" }],
		},
	};
}

/** The spec of a cold start: the stored one but for init's environment and the host name. @throws Error when it is not one of ours */
export function withColdStart(spec: SpecTemplate, { env, hostname }: Pick<ColdStart, "env" | "hostname">): SpecTemplate {
	const { process } = spec;
	if (typeof process !== "object" || process === null || !("env" in process) || !Array.isArray(process.env)) {
		throw new Error("the artifact's spec.json has no process with an environment: the artifact is damaged");
	}
	const kept = process.env.map(String).filter((entry) => !((entry.split("=", 1)[0] ?? "") in env));
	const added = Object.entries(env).map(([name, value]) => `${name}=${value}`);
	return { ...spec, hostname, process: { ...process, env: [...kept, ...added] } };
}

interface BindableSpec {
	readonly root: object;
	readonly linux: { readonly namespaces: readonly { readonly type: string }[] };
}

function isBindable(spec: object): spec is BindableSpec {
	if (!("root" in spec) || typeof spec.root !== "object" || spec.root === null) return false;
	if (!("linux" in spec) || typeof spec.linux !== "object" || spec.linux === null) return false;
	return "namespaces" in spec.linux && Array.isArray(spec.linux.namespaces);
}

/** 100 ms, the kernel's own choice: a guest that used up its share waits no longer than that. */
const CPU_PERIOD_US = 100_000;

/** The container's place and bounds on this host. The guest takes its amount of memory from here. */
export interface Placement {
	/** Name of its cgroup, absolute. */
	readonly cgroup: string;
	readonly maxTasks: number;
}

function bounds({ cpuCount, memoryMB }: Resources, { maxTasks }: Placement): object {
	return {
		memory: { limit: memoryMB * MB },
		cpu: { quota: cpuCount * CPU_PERIOD_US, period: CPU_PERIOD_US },
		pids: { limit: maxTasks },
	};
}

/**
 * The complete `config.json` of one container.
 * @param placement undefined where the host has no cgroups
 * @throws Error when the stored spec is not one of ours
 */
export function bindSpec(
	config: Pick<ContainerConfig, "spec" | "rootfsPath" | "slot" | "resources">,
	placement: Placement | undefined,
): object {
	const { spec } = config;
	if (!isBindable(spec)) throw new Error("the artifact's spec.json has no root or no namespaces: the artifact is damaged");
	return {
		...spec,
		root: { ...spec.root, path: config.rootfsPath },
		linux: {
			...spec.linux,
			...(placement && { cgroupsPath: placement.cgroup, resources: bounds(config.resources, placement) }),
			namespaces: spec.linux.namespaces.map((namespace) =>
				namespace.type === "network" ? { ...namespace, path: config.slot.netnsPath } : namespace,
			),
		},
	};
}
