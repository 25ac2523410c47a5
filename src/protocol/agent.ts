/**
 * What host and guest agent agree on. Artifacts remember the control-protocol version they were taken with, so a
 * change here must keep older versions readable: agents frozen in snapshots never update.
 */

/** Daemon version reported to clients; it drives their feature gates. Source: wire protocol of E2B's envd 0.6.13. */
export const ENVD_VERSION = "0.6.13";

export const CONTROL_PROTOCOL = 1;

/** Ports inside the guest. The edge refuses CONTROL_PORT for every client. */
export const AGENT_PORT = 49983;
export const CONTROL_PORT = 49982;
export const INTERPRETER_PORT = 49999;
/** Where the interpreter takes notices from the agent; on the loopback interface only. */
export const INTERPRETER_NOTICE_PORT = 49998;

/** The program of the Java kernel, in templates that have one; beside it (.jsa) are its classes as Java likes to load them. */
export const JAVA_KERNEL = "/usr/lib/offshoot/java-kernel.jar";

/**
 * `CONNECT localhost:<port>` on the control port reaches a server that listens on the guest's loopback interface only.
 * Answer: 200 and the connection; else 403 (a port of Offshoot itself), 502 (nothing listens there either), 503 (not
 * initialised). Agents of older artifacts close the connection.
 */
export const LOOPBACK_HOST = "localhost";

/** The guest sees the same two addresses in every sandbox; the host translates. */
export const GUEST_ADDRESS = "169.254.0.21";
export const GATEWAY_ADDRESS = "169.254.0.22";

/** Request header with the Ed25519 signature (base64) of the raw request body. */
export const CONTROL_SIGNATURE_HEADER = "x-offshoot-signature";

/**
 * Body of `POST /init` on the control port, sent once per incarnation. It is signed with the control key whose public
 * half the agent holds in memory; the agent then replaces that key by `nextControlKey`, so a recorded call cannot be
 * sent again. Answer: 204, or JSON `{code, message}`.
 */
export interface AgentInit {
	readonly sandboxId: string;
	readonly templateId: string;
	readonly incarnation: number;
	/** Grows with every restore along a lineage; written to /run/offshoot/generation. */
	readonly generation: number;
	/** Ed25519 public key, SPKI DER in base64. */
	readonly nextControlKey: string;
	/** Absent: the sandbox is open (not secured). */
	readonly accessToken?: string;
	/** True for a clone (a new sandbox id); false when the same sandbox is resumed and keeps its identity. */
	readonly newIdentity: boolean;
	/** Complete global environment of the sandbox: replaces the one in memory. */
	readonly envs: Readonly<Record<string, string>>;
	readonly hostname: string;
	readonly defaultUser?: string;
	readonly defaultWorkdir?: string;
	/** Wall clock of the host, ms since the epoch. */
	readonly timestampMs: number;
	/** PEM bundle that replaces the guest's trust store; absent leaves it. */
	readonly caBundle?: string;
	/** 32 bytes in base64 from the host's random source: seeds the kernels' generators. */
	readonly entropy: string;
}
