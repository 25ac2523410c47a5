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
	{ destination: "/tmp/.X11-unix", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777"] },
];

const MB = 1024 * 1024;
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
		mounts: MOUNTS,
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

/** The complete `config.json` of one container. @throws Error when the stored spec is not one of ours */
export function bindSpec(config: Pick<ContainerConfig, "spec" | "rootfsPath" | "slot">): object {
	const { spec } = config;
	if (!isBindable(spec)) throw new Error("the artifact's spec.json has no root or no namespaces: the artifact is damaged");
	return {
		...spec,
		root: { ...spec.root, path: config.rootfsPath },
		linux: {
			...spec.linux,
			namespaces: spec.linux.namespaces.map((namespace) =>
				namespace.type === "network" ? { ...namespace, path: config.slot.netnsPath } : namespace,
			),
		},
	};
}
