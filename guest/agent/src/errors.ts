/** Errors of the REST endpoints and the one place where the kernel's error codes get a meaning. */

/** Ends a REST request with this status and the body `{code, message}`. */
export class HttpError extends Error {
	override readonly name = "HttpError";
	readonly status: number;

	constructor(status: number, message: string, options?: ErrorOptions) {
		super(message, options);
		this.status = status;
	}
}

/** The errno name of a system error (`ENOENT`), or undefined. */
export function errnoOf(error: unknown): string | undefined {
	if (!(error instanceof Error) || !("code" in error)) return undefined;
	return typeof error.code === "string" ? error.code : undefined;
}

/** Nothing has the path: a part of it is not there, or is no directory. */
export function isMissing(error: unknown): boolean {
	const errno = errnoOf(error);
	return errno === "ENOENT" || errno === "ENOTDIR";
}

export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

const FILE_STATUS: Readonly<Record<string, number>> = {
	ENOENT: 404,
	ENOSPC: 507,
	EDQUOT: 507,
	EACCES: 403,
	EPERM: 403,
	EROFS: 403,
	EISDIR: 400,
	ENOTDIR: 400,
	ENAMETOOLONG: 400,
	ELOOP: 400,
	EINVAL: 400,
	ETXTBSY: 400,
	ENXIO: 400,
	ERR_INVALID_ARG_VALUE: 400,
};

/** The REST answer for a failed operation on `path`. */
export function fileError(error: unknown, path: string): HttpError {
	if (error instanceof HttpError) return error;
	const errno = errnoOf(error);
	const options = { cause: error };
	if (errno === "ENOENT") return new HttpError(404, `path '${path}' does not exist`, options);
	if (errno === "EISDIR") return new HttpError(400, `path '${path}' is a directory`, options);
	if (errno === "ENOSPC" || errno === "EDQUOT") return new HttpError(507, `not enough space to write '${path}'`, options);
	const status = (errno === undefined ? undefined : FILE_STATUS[errno]) ?? 500;
	return new HttpError(status, `error on '${path}': ${messageOf(error)}`, options);
}
