/**
 * What the daemon knows of the sandbox it is in. Locked at start and after every restore, until the host has told it
 * who it is now; a copy lives in sysd, so that a daemon that crashed goes on where it was.
 */
import type { AgentInit } from "../../../src/protocol/index.ts";
import { CONTROL_PROTOCOL } from "../../../src/protocol/index.ts";

export interface Identity {
	readonly sandboxId: string;
	readonly templateId: string;
	readonly incarnation: number;
	readonly generation: number;
	/** Undefined: the sandbox is open. */
	readonly accessToken: string | undefined;
	/** Global environment, the always-present names included. */
	readonly envs: Readonly<Record<string, string>>;
	readonly defaultUser: string;
	readonly defaultWorkdir: string | undefined;
}

/** The user of requests that name none. Source: E2B's base image. */
const DEFAULT_USER = "user";

/** A notice that has not come by then was read before the image was taken, and there is none. */
const NOTICE_LIMIT_MS = 500;

export interface SessionKeeper {
	keep(data: string): Promise<void>;
}

interface Kept {
	readonly protocol: number;
	readonly controlKey: string;
	readonly locked: boolean;
	readonly identity: Identity | undefined;
}

export class Session {
	private readonly keeper: SessionKeeper;
	private current: Identity | undefined;
	private key: string;
	private isLocked = true;
	/** Counts restores. */
	private life = 0;
	private restoreNotices: "none" | "coming" = "none";
	private noticed: (() => void) | undefined;
	/** Called when requests of the life before count no more: at a restore, and when an initialisation tells of one. */
	onNewLife: () => void = () => undefined;

	/** @param controlKey Ed25519 public key, SPKI DER in base64 */
	constructor(keeper: SessionKeeper, controlKey: string) {
		this.keeper = keeper;
		this.key = controlKey;
	}

	/** Goes on from what `kept` says, which is empty at the first start. */
	recover(kept: string): void {
		if (kept === "") return;
		const state: Kept = JSON.parse(kept);
		this.key = state.controlKey;
		this.current = state.identity;
		this.isLocked = state.locked;
	}

	get controlKey(): string {
		return this.key;
	}

	/** Undefined while locked: nothing may be answered then. */
	get identity(): Identity | undefined {
		return this.isLocked ? undefined : this.current;
	}

	/** From now on `restored` is called after every restore. */
	expectNotices(): void {
		this.restoreNotices = "coming";
	}

	/** The kernel says that this memory was restored from an image. */
	async restored(): Promise<void> {
		this.life += 1;
		this.onNewLife();
		await this.lock();
		this.noticed?.();
	}

	/**
	 * The first step of an initialisation: nobody is answered, and the key that signed it is spent. Resolves with the
	 * life that it is for, to be given to `open`.
	 */
	async begin(init: AgentInit): Promise<number> {
		// Open, and yet told of a new life: a restore happened, and the kernel's word of it is still on its way. It must
		// not come after we have opened for the new one.
		const early = !this.isLocked && !this.isCurrent(init) && this.restoreNotices === "coming";
		this.key = init.nextControlKey;
		this.onNewLife();
		await this.lock();
		if (early) await this.notice();
		return this.life;
	}

	/** The last step of an initialisation. @throws if this memory was restored since it began: it was for the source */
	async open(init: AgentInit, life: number): Promise<void> {
		if (life !== this.life) throw new Error("the sandbox was restored during its initialisation");
		this.current = identityOf(init);
		this.isLocked = false;
		await this.save();
	}

	private isCurrent(init: AgentInit): boolean {
		return this.current?.sandboxId === init.sandboxId && this.current.incarnation === init.incarnation;
	}

	private notice(): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(() => this.noticed?.(), NOTICE_LIMIT_MS);
			this.noticed = () => {
				clearTimeout(timer);
				this.noticed = undefined;
				resolve();
			};
		});
	}

	private async lock(): Promise<void> {
		this.isLocked = true;
		await this.save();
	}

	/** Called again when sysd was replaced. */
	async save(): Promise<void> {
		const { key: controlKey, isLocked: locked, current: identity } = this;
		await this.keeper.keep(JSON.stringify({ protocol: CONTROL_PROTOCOL, controlKey, locked, identity } satisfies Kept));
	}
}

function identityOf(init: AgentInit): Identity {
	return {
		sandboxId: init.sandboxId,
		templateId: init.templateId,
		incarnation: init.incarnation,
		generation: init.generation,
		accessToken: init.accessToken,
		envs: {
			...init.envs,
			E2B_SANDBOX: "true",
			E2B_SANDBOX_ID: init.sandboxId,
			E2B_TEMPLATE_ID: init.templateId,
		},
		defaultUser: init.defaultUser ?? DEFAULT_USER,
		defaultWorkdir: init.defaultWorkdir,
	};
}
