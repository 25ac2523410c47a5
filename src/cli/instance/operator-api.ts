/** The running server's API, asked by root on its machine in the place of a team: no key of the team is needed. */
import { type Static, type TSchema, Type } from "typebox";
import { Value } from "typebox/value";
import { OffshootError } from "../../protocol/index.ts";
import { readAdminToken } from "./secrets.ts";
import { requireServer } from "./server-file.ts";

const Teams = Type.Array(Type.Object({ teamID: Type.String(), slug: Type.String() }));
const ErrorAnswer = Type.Object({ message: Type.String() });

export interface Page<T> {
	readonly items: T;
	readonly nextToken: string | undefined;
}

export class OperatorApi {
	readonly #url: string;
	readonly #headers: Readonly<Record<string, string>>;
	readonly #signal: AbortSignal;

	private constructor(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) {
		this.#url = url;
		this.#headers = headers;
		this.#signal = signal;
	}

	/**
	 * @param slug of the team; the first one when undefined
	 * @throws OffshootError not_found when no server runs or there is no such team
	 */
	static async of(dataDir: string, slug: string | undefined, signal: AbortSignal): Promise<OperatorApi> {
		const { url } = await requireServer(dataDir);
		const token = await readAdminToken(dataDir);
		if (token === undefined) throw new OffshootError("not_found", `${dataDir} has no admin-token. FIX: ./offshoot up --detach`);
		const headers = { "X-Admin-Token": token };
		const { items } = await new OperatorApi(url, headers, signal).get("/admin/teams", Teams);
		const team = items.find((each) => slug === undefined || each.slug === slug);
		if (team === undefined) throw new OffshootError("not_found", `there is no team '${slug}'. FIX: ./offshoot team list`);
		return new OperatorApi(url, { ...headers, "X-Team-ID": team.teamID }, signal);
	}

	/** @throws OffshootError with the server's message */
	async get<T extends TSchema>(path: string, schema: T): Promise<Page<Static<T>>> {
		const answer = await this.#send("GET", path);
		const items: unknown = await answer.json();
		if (!Value.Check(schema, items)) throw new Error(`GET ${path} answered with something else than expected`);
		return { items, nextToken: answer.headers.get("x-next-token") ?? undefined };
	}

	/** @throws OffshootError with the server's message */
	async delete(path: string): Promise<void> {
		await this.#send("DELETE", path);
	}

	async #send(method: string, path: string): Promise<Response> {
		const answer = await fetch(this.#url + path, { method, headers: this.#headers, signal: this.#signal });
		if (answer.ok) return answer;
		const body: unknown = await answer.json().catch(() => undefined);
		const why = Value.Check(ErrorAnswer, body) ? body.message : `the server answered ${method} ${path} with ${answer.status}`;
		throw new OffshootError("invalid_request", why);
	}
}
