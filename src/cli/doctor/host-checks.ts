/** Checks of the machine itself. */
import { type Finding, fail, ok, warn } from "./check.ts";

/** nftables has the egress hook of the netdev family from this kernel on. */
const OLDEST_KERNEL = { major: 5, minor: 16 };
const OLDEST_NODE = 24;
const GIGABYTE = 1e9;
/** Templates with their root filesystems take about 2.5 GB, and a few snapshots should fit beside them. */
const NEEDED_DISK_GB = 4;
const COMFORTABLE_DISK_GB = 15;
const CONTROLLERS = ["cpu", "memory", "pids"];

export function checkRoot(uid: number): Finding {
	if (uid === 0) return ok("running as root");
	return fail(`running as user ${uid}`, "sudo ./offshoot …");
}

/** @param release as `uname -r` prints it */
export function checkKernel(release: string): Finding {
	const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
	const { major: oldestMajor, minor: oldestMinor } = OLDEST_KERNEL;
	const newEnough = Number(major) > oldestMajor || (Number(major) === oldestMajor && Number(minor) >= oldestMinor);
	if (newEnough) return ok(`Linux ${release}`);
	return fail(
		`Linux ${release} is older than ${oldestMajor}.${oldestMinor}`,
		"boot a newer kernel (Debian 12 has 6.1; on Debian 11: apt-get install -t bullseye-backports linux-image-amd64)",
	);
}

/** @param version as `process.version` has it */
export function checkNode(version: string): Finding {
	const major = Number(/^v(\d+)/.exec(version)?.[1]);
	if (major >= OLDEST_NODE) return ok(`Node ${version}`);
	return fail(
		`Node ${version} is older than ${OLDEST_NODE}`,
		"start Offshoot through ./offshoot, which brings a Node of its own",
	);
}

export interface CgroupFacts {
	/** Undefined: no cgroup file system is mounted. */
	readonly version: 1 | 2 | undefined;
	readonly controllers: readonly string[];
}

export function checkCgroups({ version, controllers }: CgroupFacts): Finding {
	if (version === undefined) {
		return warn(
			"no cgroup file system is mounted: sandboxes run without limits on the host",
			"mount -t cgroup2 none /sys/fs/cgroup",
		);
	}
	const missing = CONTROLLERS.filter((name) => !controllers.includes(name));
	if (missing.length === 0) return ok(`cgroup v${version} with ${CONTROLLERS.join(", ")}`);
	return warn(
		`cgroup v${version} lacks ${missing.join(", ")}: those limits of sandboxes are not enforced on the host`,
		version === 2
			? `echo '${missing.map((name) => `+${name}`).join(" ")}' > /sys/fs/cgroup/cgroup.subtree_control, or boot with cgroup_enable=${missing.join(",")}`
			: `boot with cgroup_enable=${missing.join(",")}`,
	);
}

/** @param freeBytes free to root on the disk of `path` */
export function checkDisk(path: string, freeBytes: number): Finding {
	const free = freeBytes / GIGABYTE;
	const amount = `${free.toFixed(1)} GB free for ${path}`;
	const fix = "free some space, or set OFFSHOOT_DATA_DIR to a directory on a larger disk";
	if (free < NEEDED_DISK_GB) return fail(`${amount}, needed are ${NEEDED_DISK_GB} GB`, fix);
	if (free < COMFORTABLE_DISK_GB) return warn(`${amount}: room for few snapshots`, fix);
	return ok(amount);
}

export interface PortFacts {
	readonly bind: string;
	readonly port: number;
	/** pid of this instance's own server, if it runs. */
	readonly ownServer: number | undefined;
	/** Code of the error that listening gave; undefined when the port is free. */
	readonly error: string | undefined;
}

export function checkPort({ bind, port, ownServer, error }: PortFacts): Finding {
	if (error === undefined) return ok(`${bind}:${port} is free`);
	if (ownServer !== undefined) return ok(`${bind}:${port} is served by this instance (process ${ownServer})`);
	if (error === "EADDRINUSE") {
		return fail(
			`${bind}:${port} is in use by another program`,
			`ss -ltnp 'sport = :${port}' shows it; or set OFFSHOOT_PORT to another port`,
		);
	}
	if (error === "EADDRNOTAVAIL") {
		return fail(
			`this machine has no address ${bind}`,
			"set OFFSHOOT_BIND to one of its addresses (ip -br addr), or to 127.0.0.1",
		);
	}
	return fail(`cannot listen on ${bind}:${port} (${error})`, "set OFFSHOOT_PORT to another port");
}

/** @param path of the host's trust store */
export function checkTrust(path: string | undefined): Finding {
	if (path !== undefined) return ok(`sandboxes trust what ${path} does`);
	return warn(
		"no trust store: sandboxes trust what their template did, and headers of network.rules reach no host over HTTPS",
		"apt-get install --reinstall ca-certificates && update-ca-certificates",
	);
}

/** @param missing names of packages that are not installed */
export function checkPackages(missing: readonly string[], installLine: string): Finding {
	if (missing.length === 0) return ok("all installed");
	return fail(`not installed: ${missing.join(", ")}`, `./offshoot doctor --fix, or ${installLine}`);
}
