import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { refuseOwned } from "../instance/instance-lock.ts";
import { readApiKey } from "../instance/secrets.ts";
import { requireServer, type ServerFile } from "../instance/server-file.ts";
import { requireRoot } from "../prepare/index.ts";
import type { SandboxFate } from "../server-contract.ts";
import { Progress, type ProgressSink } from "../terminal/progress.ts";
import { paint, showProgress } from "../terminal/show.ts";
import { openParentChannel, startDetached } from "./detach.ts";
import { clientEnvironment, exportLines } from "./env.ts";
import { runServerProcess } from "./server-process.ts";

/** Runs a server in this process until a signal ends it. */
export async function upForeground(config: Config): Promise<void> {
	requireRoot("up");
	const progress = new Progress(showProgress(process.stderr));
	await serve(config, progress, async (server) => {
		process.stdout.write(await welcome(config, server));
		process.stdout.write(
			"\nCtrl-C ends the server and its sandboxes. To leave them running for the next\nserver, send it SIGTERM instead.\n",
		);
	});
}

/** Starts a server that outlives this command; resolves when it can be used. */
export async function upDetached(config: Config, progress: Progress, signal: AbortSignal): Promise<ServerFile> {
	requireRoot("up");
	await refuseOwned(config.dataDir);
	await startDetached(config, progress, signal);
	return requireServer(config.dataDir);
}

/** The server process behind `up --detach`: its standard streams are a log file. */
export async function upReporting(config: Config): Promise<void> {
	const channel = openParentChannel();
	const toLog = showProgress(process.stdout);
	const toBoth: ProgressSink = (event) => {
		toLog(event);
		channel.sink(event);
	};
	try {
		await serve(config, new Progress(toBoth), async () => channel.ready());
	} catch (error) {
		channel.refused(error instanceof Error ? error.message : String(error));
		throw error;
	}
}

async function serve(config: Config, progress: Progress, onReady: (server: ServerFile) => Promise<void>): Promise<void> {
	// All rooms come with it: a process that only starts another one has no use for them.
	const { cleanHost, startServer } = await import("../server.ts");
	const starting = new AbortController();
	let ready = false;
	const untilStopped = stopSignals((name) => {
		if (!ready) starting.abort(new OffshootError("conflict", `stopped by ${name} while it was starting`));
	});
	const whenReady = async (server: ServerFile) => {
		ready = true;
		await onReady(server);
	};
	try {
		await runServerProcess({ config, progress, startServer, cleanHost, onReady: whenReady, untilStopped }, starting.signal);
	} catch (error) {
		// Whatever was interrupted complains in its own words; the user knows it as the signal.
		starting.signal.throwIfAborted();
		throw error;
	}
}

/**
 * SIGINT (Ctrl-C, `down`) ends the sandboxes with the server; SIGTERM and SIGHUP leave them to the next one, so that a
 * service manager can restart or upgrade it under them. A second Ctrl-C does not wait for anything.
 */
function stopSignals(onFirst: (name: NodeJS.Signals) => void): Promise<SandboxFate> {
	const { promise, resolve } = Promise.withResolvers<SandboxFate>();
	let stopping = false;
	const on = (name: NodeJS.Signals, fate: SandboxFate) =>
		process.on(name, () => {
			if (stopping && name === "SIGINT") {
				process.stderr.write("\nended at once: ./offshoot down removes what is left on the host\n");
				process.exit(130);
			}
			stopping = true;
			onFirst(name);
			resolve(fate);
		});
	on("SIGINT", "end");
	on("SIGTERM", "keep");
	on("SIGHUP", "keep");
	return promise;
}

/** What a person needs to know once a server runs. */
export async function welcome(config: Config, server: ServerFile): Promise<string> {
	const key = await readApiKey(config.dataDir);
	const lines = exportLines(clientEnvironment(server.url, key ?? ""));
	return [
		"",
		paint(process.stdout, "bold", "Offshoot is ready."),
		`  address   ${server.url}`,
		...(server.tls === undefined ? [] : [`  with TLS  https://api.${server.tls.domain}   (./offshoot env --tls)`]),
		`  API key   ${key}`,
		`  data      ${config.dataDir}`,
		"",
		"Point an E2B SDK or CLI at it:",
		...lines.map((line) => `  ${line}`),
		'or, in one go:  eval "$(./offshoot env)"',
		"",
	].join("\n");
}
