/** What the RPC services share: whose request it is, and streams with keep-alives. */
import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Channel } from "../channel.ts";
import { errnoOf, messageOf } from "../errors.ts";
import { PathError } from "../paths.ts";
import type { Identity } from "../session.ts";
import type { User, Users } from "../users.ts";

/** Set by the server for every request it lets through. */
export const identityKey = createContextKey<Identity | undefined>(undefined);

export function identityOf(context: HandlerContext): Identity {
	const identity = context.values.get(identityKey);
	if (identity === undefined) throw new ConnectError("the sandbox is not initialised", Code.Unavailable);
	return identity;
}

/** The user that the request names, set by `requireUser`: groups are looked up once for each call. */
const namedUserKey = createContextKey<User | undefined>(undefined);

/** The user a request acts as: that of its Authorization header, else the sandbox's default. */
export function userOf(context: HandlerContext, users: Users): User {
	return context.values.get(namedUserKey) ?? findUser(identityOf(context).defaultUser, users);
}

/**
 * Runs before every method: whom a request names must be there, also where it does nothing as that user.
 * @throws ConnectError unauthenticated
 */
export function requireUser(context: HandlerContext, users: Users): void {
	const name = basicUser(context.requestHeader.get("authorization"));
	if (name !== undefined) context.values.set(namedUserKey, findUser(name, users));
}

function findUser(name: string, users: Users): User {
	const user = users.find(name);
	if (user === undefined) throw new ConnectError(`invalid username: '${name}'`, Code.Unauthenticated);
	return user;
}

function basicUser(header: string | null): string | undefined {
	if (header === null) return undefined;
	const encoded = /^basic\s+(.*)$/i.exec(header)?.[1];
	if (encoded === undefined) return undefined;
	return Buffer.from(encoded, "base64").toString().split(":", 1)[0] || undefined;
}

/** Source: E2B wire protocol. */
const DEFAULT_KEEPALIVE_S = 90;
const MAX_KEEPALIVE_S = 24 * 60 * 60;

/** ms without an event after which the client wants a keep-alive; what makes no sense as such is not taken. */
export function keepaliveMs({ requestHeader }: Pick<HandlerContext, "requestHeader">): number {
	const seconds = Number(requestHeader.get("keepalive-ping-interval") ?? DEFAULT_KEEPALIVE_S);
	return (seconds >= 1 && seconds <= MAX_KEEPALIVE_S ? seconds : DEFAULT_KEEPALIVE_S) * 1000;
}

/**
 * The channel's events with "keepalive" in every silence of `idleMs`, until it ends or the request does.
 * @throws the request's reason: deadline_exceeded when its time is over
 */
export async function* eventsOf<T>(channel: Channel<T>, idleMs: number, signal: AbortSignal): AsyncGenerator<T | "keepalive"> {
	const stop = () => channel.close();
	signal.addEventListener("abort", stop);
	if (signal.aborted) stop();
	try {
		for (;;) {
			const next = await channel.next(idleMs);
			signal.throwIfAborted();
			if (next === "closed") return;
			yield next === "idle" ? "keepalive" : next.value;
		}
	} finally {
		signal.removeEventListener("abort", stop);
		channel.close();
	}
}

const ERRNO_CODE: Readonly<Record<string, Code>> = {
	ENOENT: Code.NotFound,
	EEXIST: Code.AlreadyExists,
	ENOTDIR: Code.InvalidArgument,
	EISDIR: Code.InvalidArgument,
	ENAMETOOLONG: Code.InvalidArgument,
	E2BIG: Code.InvalidArgument,
	ELOOP: Code.InvalidArgument,
	EINVAL: Code.InvalidArgument,
	EBUSY: Code.FailedPrecondition,
	ENOTEMPTY: Code.FailedPrecondition,
	EACCES: Code.PermissionDenied,
	EPERM: Code.PermissionDenied,
	EROFS: Code.PermissionDenied,
	ENOSPC: Code.ResourceExhausted,
	EDQUOT: Code.ResourceExhausted,
};

/** The RPC error for what a file operation threw. */
export function rpcError(error: unknown): ConnectError {
	if (error instanceof ConnectError) return error;
	if (error instanceof PathError) return new ConnectError(error.message, Code.InvalidArgument);
	const errno = errnoOf(error);
	const code = (errno === undefined ? undefined : ERRNO_CODE[errno]) ?? Code.Internal;
	return new ConnectError(messageOf(error), code, undefined, undefined, error);
}
