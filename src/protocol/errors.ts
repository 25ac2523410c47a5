/**
 * The one error type that crosses rooms. Its code decides the HTTP status; its message is written for the user and
 * says what to do next. Anything else that is thrown is a defect and becomes a 500.
 */
export const ERROR_STATUS = {
	invalid_request: 400,
	unauthenticated: 401,
	forbidden: 403,
	not_found: 404,
	conflict: 409,
	/** It was there once and will not come back. */
	gone: 410,
	too_many: 429,
	internal: 500,
	not_implemented: 501,
	/** Nothing changed; the same request may be sent again. */
	busy: 503,
	timed_out: 504,
	no_space: 507,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

export interface ErrorDetails {
	/** Machine-readable refinement that clients may read as `error_code`. */
	readonly errorCode?: string;
	/** Sent as `Retry-After`, in whole seconds. */
	readonly retryAfterSeconds?: number;
	/** Sent as `Should-Retry`; false forbids the automatic retry of newer clients. */
	readonly shouldRetry?: boolean;
	readonly cause?: unknown;
}

export class OffshootError extends Error {
	override readonly name = "OffshootError";
	readonly code: ErrorCode;
	readonly details: ErrorDetails;

	constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
		super(message, details.cause === undefined ? undefined : { cause: details.cause });
		this.code = code;
		this.details = details;
	}

	get httpStatus(): number {
		return ERROR_STATUS[this.code];
	}
}

/** True if `error` is an OffshootError with this code. */
export function hasCode(error: unknown, code: ErrorCode): error is OffshootError {
	return error instanceof OffshootError && error.code === code;
}

/** The canonical answer for ids that do not exist or belong to another team: both look the same from outside. */
export function sandboxNotFound(sandboxId: string): OffshootError {
	return new OffshootError("not_found", `Sandbox "${sandboxId}" doesn't exist or you don't have access to it`);
}
