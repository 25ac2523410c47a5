/**
 * A host of its own for network tests: a network namespace and a mount namespace with an empty /run, so that slot pools
 * run exactly as on a machine, and nothing of the machine is touched. Around it:
 *
 *   guests — lab host 5.5.5.2 — 5.5.5.1 "world", which also owns the addresses of WORLD
 *
 * Everything ends with the processes that hold the namespaces.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../src/engine/command.ts";
import type { EgressPolicy, ProbeResult, Slot } from "../../../src/engine/index.ts";

export const HOST = "5.5.5.2";
export const ROUTER = "5.5.5.1";
/** Addresses at which the world answers. */
export const WORLD = {
	public: "93.184.216.34",
	otherPublic: "93.184.216.35",
	private: "10.20.30.40",
	metadata: "169.254.169.254",
	/** In a closed range that the tests' operator opens. */
	opened: "10.99.0.7",
} as const;

/** Port of the tests' servers: TCP and UDP, they greet with the address of who speaks to them. */
export const PORT = 8080;

export const OPEN: EgressPolicy = { internet: true, allowCidrs: [], denyCidrs: [] };

export interface Target {
	readonly host: string;
	readonly port?: number;
	/** The last two send `count` datagrams, to one port or to as many, and answer how many answers came. */
	readonly protocol?: "tcp" | "udp" | "dns-udp" | "dns-tcp" | "dns-flood" | "udp-scan";
	readonly count?: number;
	/** Address to speak from. */
	readonly source?: string;
}

const signal = new AbortController().signal;
const here = import.meta.dirname;

export class Lab implements AsyncDisposable {
	readonly #holder: ChildProcess;
	readonly #directory: string;
	readonly #children: ChildProcess[] = [];
	#spies = 0;
	#certified: Promise<string> | undefined;

	private constructor(holder: ChildProcess, directory: string) {
		this.#holder = holder;
		this.#directory = directory;
	}

	static async open(): Promise<Lab> {
		const directory = await mkdtemp(join(tmpdir(), "offshoot-lab-"));
		await writeFile(join(directory, "resolv.conf"), `nameserver ${ROUTER}\n`);
		const script = [
			"mount -t tmpfs lab /run",
			`mount --bind ${directory}/resolv.conf /etc/resolv.conf`,
			"ip link set lo up",
			"ip netns add world",
			"ip link add up0 type veth peer name eth0 netns world",
			"ip link set up0 addrgenmode none",
			`ip addr add ${HOST}/24 dev up0`,
			"ip link set up0 up",
			`ip route add default via ${ROUTER}`,
			"ip -n world link set lo up",
			"ip -n world link set eth0 up",
			`ip -n world addr add ${ROUTER}/24 dev eth0`,
			...Object.values(WORLD).map((address) => `ip -n world addr add ${address}/32 dev lo`),
			"echo ready",
			"exec sleep infinity",
		];
		const holder = spawn("unshare", ["--net", "--mount", "--propagation", "private", "sh", "-ec", script.join("\n")], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const lab = new Lab(holder, directory);
		await once(holder.stdout ?? holder, "data");
		await Promise.all([lab.#serve("world", ["dns"]), lab.#serve(undefined, [])]);
		return lab;
	}

	/** Runs a program on the lab's host; resolves to its output. */
	async sh(command: string): Promise<string> {
		return (await run("nsenter", [...this.#enter(), "sh", "-ec", command], { signal })).stdout;
	}

	/** Starts the greeting server in a namespace. */
	serve(netns: string): Promise<ChildProcess> {
		return this.#serve(netns, []);
	}

	async #serve(netns: string | undefined, services: readonly string[]): Promise<ChildProcess> {
		const server = this.#node(netns, "server.ts", `${PORT}`, ...services);
		await once(server, "message");
		return server;
	}

	/**
	 * Starts the web servers of `web.ts` in a namespace, or on the lab's host, with a certificate for example.com and its
	 * subdomains in `certificate`. @param from address that its SOCKS proxy connects from
	 */
	async web(netns: string | undefined, from?: string): Promise<ChildProcess> {
		this.#certified ??= this.#certify();
		const key = await this.#certified;
		const server = this.#node(netns, "web.ts", JSON.stringify({ key, cert: this.certificate, from }));
		await once(server, "message");
		return server;
	}

	/** Makes the web servers' certificate; resolves to the file of its key. */
	async #certify(): Promise<string> {
		const key = join(this.#directory, "web.key");
		const names = "subjectAltName=DNS:example.com,DNS:*.example.com,DNS:example.org";
		const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=example.com -addext ${names}`;
		await run("openssl", [...args.split(" "), "-keyout", key, "-out", this.certificate], { signal });
		return key;
	}

	/** File with the certificate of the web servers, which is its own authority. */
	get certificate(): string {
		return join(this.#directory, "web.crt");
	}

	/**
	 * Asks for a URL as a program in the namespace would; the name is taken for `address` there.
	 * @returns what the server said, or "failed" with curl's exit code
	 */
	async fetch(url: string, address: string, netns: string): Promise<string> {
		const { hostname } = new URL(url);
		const names = [80, 443].map((port) => `--resolve ${hostname}:${port}:${address}`).join(" ");
		const curl = `curl -s --noproxy '*' --connect-timeout 3 --max-time 8 --cacert ${this.certificate} ${names} ${url}`;
		return (await this.sh(`nsenter --net=/run/netns/${netns} ${curl} || echo failed $?`)).trim();
	}

	/** Tries all targets at once from a namespace, or from the lab's host. Each answers "timeout", "refused" or what was said. */
	async reach(targets: readonly Target[], netns?: string): Promise<string[]> {
		const client = this.#node(netns, "client.ts", JSON.stringify(targets));
		const [results] = await once(client, "message");
		return results;
	}

	/** A connection that goes on; see `stream.ts`. */
	async stream(target: { host: string; protocol: "tcp" | "udp"; localPort?: number }, netns?: string): Promise<Stream> {
		const child = this.#node(netns, "stream.ts", JSON.stringify(target));
		await once(child, "message");
		return new Stream(child);
	}

	/** An HTTP conversation that goes on over one connection to port 80; "GET" asks for the name's page. */
	async talk({ host, name }: { host: string; name: string }, netns?: string): Promise<Stream> {
		const child = this.#node(netns, "talk.ts", JSON.stringify({ host, name }));
		await once(child, "message");
		return new Stream(child);
	}

	/** Changes which resolvers the lab's host uses. */
	async setResolvers(...addresses: readonly string[]): Promise<void> {
		await writeFile(join(this.#directory, "resolv.conf"), addresses.map((address) => `nameserver ${address}\n`).join(""));
	}

	/** Runs doctor's probes on the lab's host, with a search path of its own if given. */
	async probes(path?: string): Promise<Record<"netns" | "netdevEgress" | "forwardPolicy", ProbeResult>> {
		const child = this.#node(undefined, "probes.ts", path ?? "");
		return (await once(child, "message"))[0];
	}

	/** Counts the packets that match and get as far as this hook of the lab's host; resolves to a function that reads the count. */
	async spy(family: "ip" | "ip6", hook: "prerouting" | "input", match: string): Promise<() => Promise<number>> {
		const chain = `${family} spy ${hook}_${this.#spies++}`;
		// After every other filter at these hooks.
		await this.sh(`nft add table ${family} spy; nft 'add chain ${chain} { type filter hook ${hook} priority 300; }'`);
		await this.sh(`nft 'add rule ${chain} ${match} counter'`);
		return async () => Number(/packets (\d+)/.exec(await this.sh(`nft list chain ${chain}`))?.[1]);
	}

	async pool(options: Partial<PoolProcessOptions> & { readonly instanceId: string }): Promise<PoolProcess> {
		const authorityDir = join(this.#directory, `egress-${options.instanceId}`);
		const complete = { ahead: 1, max: 50, operatorAllowCidrs: [`${WORLD.opened}/24`], authorityDir, ...options };
		const child = this.#node(undefined, "pool-process.ts", JSON.stringify(complete));
		const pool = new PoolProcess(child);
		await pool.started;
		return pool;
	}

	/** Everything on the lab's host that a pool could leave behind, comparable between two moments. */
	traces(): Promise<string> {
		return this.sh(
			"ip -o link | cut -d: -f2; ip -o addr show dev lo; ip route show table all; ls /run/netns; nft list ruleset; ls /run/offshoot/ranges 2>/dev/null || true; cat /proc/sys/net/ipv4/ip_forward",
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const child of [...this.#children, this.#holder]) await end(child);
		await rm(this.#directory, { recursive: true });
	}

	#enter(): string[] {
		return ["--target", `${this.#holder.pid}`, "--net", "--mount"];
	}

	#node(netns: string | undefined, file: string, ...values: readonly string[]): ChildProcess {
		const inside = netns === undefined ? [] : [`--net=/run/netns/${netns}`];
		// Two steps: the namespace's file is in the lab's own /run.
		const outer = ["nsenter", ...this.#enter()];
		const inner = netns === undefined ? [] : ["nsenter", ...inside];
		const [program = "", ...args] = [...outer, ...inner, process.execPath, join(here, file), ...values];
		const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
		this.#children.push(child);
		return child;
	}
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	child.kill("SIGKILL");
	await once(child, "exit");
}

/** One conversation: every word sent comes back. */
export class Stream {
	readonly #child: ChildProcess;

	constructor(child: ChildProcess) {
		this.#child = child;
	}

	/** Says a word and waits for what comes of it: the word, "timeout", or "closed". */
	async say(word: string): Promise<string> {
		const answer = once(this.#child, "message");
		this.#child.send(word);
		return String((await answer)[0]);
	}

	end(): Promise<void> {
		return end(this.#child);
	}
}

export interface PoolProcessOptions {
	readonly instanceId: string;
	readonly ahead: number;
	readonly max: number;
	readonly operatorAllowCidrs: readonly string[];
}

/** A process with a slot pool in it, as a server is one. */
export class PoolProcess {
	readonly #child: ChildProcess;
	readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
	readonly #started = Promise.withResolvers<string>();
	#next = 0;

	constructor(child: ChildProcess) {
		this.#child = child;
		child.on("exit", () => this.#started.reject(new Error("the pool's process ended")));
		child.on("message", (message: { id?: number; result?: unknown; error?: string; range?: string }) => {
			if (message.range !== undefined) return this.#started.resolve(message.range);
			const call = this.#waiting.get(message.id ?? -1);
			if (message.error !== undefined) return call?.reject(new Error(message.error));
			call?.resolve(message.result);
		});
	}

	/** The block of addresses it claimed. */
	get started(): Promise<string> {
		return this.#started.promise;
	}

	acquire(): Promise<Slot> {
		return this.#call<Slot>("acquire");
	}

	prepare(slot: Slot): Promise<void> {
		return this.#call("prepare", slot);
	}

	setEgress(slot: Slot, policy: EgressPolicy): Promise<void> {
		return this.#call("setEgress", slot, policy);
	}

	release(slot: Slot): Promise<void> {
		return this.#call("release", slot);
	}

	adopt(indexes: readonly number[]): Promise<void> {
		return this.#call("adopt", indexes);
	}

	stats(): Promise<{ free: number; used: number }> {
		return this.#call("stats");
	}

	close(): Promise<void> {
		return this.#call("close");
	}

	destroy(): Promise<void> {
		return this.#call("destroy");
	}

	async openSlot(): Promise<Slot> {
		const slot = await this.acquire();
		await this.setEgress(slot, OPEN);
		return slot;
	}

	kill(): Promise<void> {
		return end(this.#child);
	}

	#call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
		const call = Promise.withResolvers<T>();
		const id = this.#next++;
		this.#waiting.set(id, call as PromiseWithResolvers<unknown>);
		this.#child.send({ id, method, args });
		return call.promise;
	}
}

/** Name of a slot's namespace, for `Lab.reach` and `Lab.serve`. */
export function netnsOf(slot: Slot): string {
	return slot.netnsPath.slice("/run/netns/".length);
}
