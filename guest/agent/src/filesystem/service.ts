/** The Filesystem service. Works with the daemon's rights; what it creates is the acting user's. */

import { lstat, rename, rm, stat } from "node:fs/promises";
import { posix } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { type Filesystem, WatchDirResponseSchema } from "../../../../src/protocol/gen/filesystem_pb.js";
import { Channel } from "../channel.ts";
import { makeDirectories } from "../directories.ts";
import { errnoOf, isMissing, messageOf } from "../errors.ts";
import { resolvePath } from "../paths.ts";
import { eventsOf, identityOf, keepaliveMs, rpcError, userOf } from "../rpc/context.ts";
import type { Sysd } from "../sysd/sysd.ts";
import type { User, Users } from "../users.ts";
import { Entries } from "./entry.ts";
import { type FilesystemEvent, withEntry } from "./events.ts";
import { listPaths } from "./list.ts";
import { networkFileSystem } from "./mounts.ts";
import { DirectoryWatch, type WatchEvent } from "./watch.ts";
import { Watcher, Watchers } from "./watchers.ts";

/** Events a watching client may be behind before they wait in the kernel's queue. */
const WATCH_LIMIT = 1024;

interface WatchRequest {
	readonly path: string;
	readonly recursive: boolean;
	readonly includeEntry: boolean;
	readonly allowNetworkMounts: boolean;
}

export interface FilesystemParts {
	readonly sysd: Sysd;
	readonly users: Users;
	/** Lists what is mounted; the kernel's own table unless given. */
	readonly mountTable?: string;
}

export function filesystemService({ sysd, users, mountTable }: FilesystemParts): ServiceImpl<typeof Filesystem> {
	const entries = new Entries(users, sysd);
	const watchers = new Watchers();

	const locate = (path: string, context: HandlerContext): { path: string; user: User } => {
		const user = userOf(context, users);
		return { path: resolvePath(path, user, identityOf(context).defaultWorkdir), user };
	};

	const openWatch = async (
		request: WatchRequest,
		context: HandlerContext,
		onEvent: (event: WatchEvent) => void,
		onClosed: () => void,
	) => {
		const { path } = locate(request.path, context);
		await requireDirectory(path);
		const network = request.allowNetworkMounts ? undefined : await networkFileSystem(path, mountTable);
		if (network !== undefined) {
			throw new ConnectError(`cannot watch path '${path}': it is on a network file system (${network})`, Code.InvalidArgument);
		}
		return await DirectoryWatch.open(sysd, { path, recursive: request.recursive, onEvent, onClosed });
	};

	const eventOf = async (event: WatchEvent, request: WatchRequest): Promise<FilesystemEvent> =>
		request.includeEntry ? await withEntry(event, entries) : { name: event.name, type: event.type };

	return {
		async stat(request, context) {
			const { path } = locate(request.path, context);
			return { entry: await entries.read(path).catch(missing(path)) };
		},
		async makeDir(request, context) {
			const { path, user } = locate(request.path, context);
			await refuseExisting(path);
			await makeDirectories(path, user);
			return { entry: await entries.read(path) };
		},
		async move(request, context) {
			const { path: source, user } = locate(request.source, context);
			const { path: destination } = locate(request.destination, context);
			await makeDirectories(posix.dirname(destination), user);
			await rename(source, destination).catch(async (error: unknown) => {
				await lstat(source).catch(missing(source));
				throw notRenamed(error);
			});
			return { entry: await entries.read(destination) };
		},
		async remove(request, context) {
			const { path } = locate(request.path, context);
			await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
				if (!isMissing(error)) throw error;
			});
			return {};
		},
		async listDir(request, context) {
			const { path } = locate(request.path, context);
			await requireDirectory(path);
			return { entries: [...(await entries.readAll(await listPaths(path, request.depth || 1)))] };
		},
		async *watchDir(request, context) {
			let watch: DirectoryWatch | undefined;
			const channel: Channel<WatchEvent> = new Channel(WATCH_LIMIT, () => watch?.resume());
			const onEvent = (event: WatchEvent) => {
				channel.push(event, 1);
				if (channel.full) watch?.pause();
			};
			try {
				watch = await openWatch(request, context, onEvent, () => channel.end());
				yield create(WatchDirResponseSchema, { event: { case: "start", value: {} } });
				for await (const event of eventsOf(channel, keepaliveMs(context), context.signal)) {
					if (event === "keepalive") yield create(WatchDirResponseSchema, { event: { case: "keepalive", value: {} } });
					else yield create(WatchDirResponseSchema, { event: { case: "filesystem", value: await eventOf(event, request) } });
				}
			} catch (error) {
				throw rpcError(error);
			} finally {
				watch?.close();
			}
		},
		async createWatcher(request, context) {
			const watcher = new Watcher();
			const onEvent = (event: WatchEvent) => watcher.push(eventOf(event, request));
			watcher.own(await openWatch(request, context, onEvent, () => undefined));
			return { watcherId: watchers.add(watcher) };
		},
		async getWatcherEvents(request) {
			const watcher = watchers.get(request.watcherId);
			if (watcher === undefined) throw unknownWatcher(request.watcherId);
			return { events: await watcher.drain() };
		},
		async removeWatcher(request) {
			if (!watchers.remove(request.watcherId)) throw unknownWatcher(request.watcherId);
			return {};
		},
	};
}

function unknownWatcher(id: string): ConnectError {
	return new ConnectError(`watcher with id ${id} not found`, Code.NotFound);
}

function missing(path: string): (error: unknown) => never {
	return (error) => {
		if (isMissing(error)) throw new ConnectError(`path '${path}' does not exist`, Code.NotFound);
		throw error;
	};
}

/** Whatever keeps a file that is there from its new name, another file system included, is `internal` for E2B's daemon. */
function notRenamed(error: unknown): ConnectError {
	return new ConnectError(`error renaming: ${messageOf(error)}`, Code.Internal);
}

async function requireDirectory(path: string): Promise<void> {
	const stats = await stat(path).catch(missing(path));
	if (!stats.isDirectory()) throw new ConnectError(`path '${path}' is not a directory`, Code.InvalidArgument);
}

async function refuseExisting(path: string): Promise<void> {
	const stats = await stat(path).catch((error: unknown) => {
		if (errnoOf(error) === "ENOENT") return undefined;
		throw error;
	});
	if (stats === undefined) return;
	if (stats.isDirectory()) throw new ConnectError(`directory already exists: ${path}`, Code.AlreadyExists);
	throw new ConnectError(`path already exists, but it is not a directory: ${path}`, Code.InvalidArgument);
}
