/**
 * The command line: parses, calls one command, turns its outcome into an exit code. Each command is loaded when it is
 * called, so that the small ones start quickly.
 */
import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { CommandError } from "../engine/index.ts";
import { OffshootError } from "../protocol/index.ts";
import { type Config, mistypedSettings, readConfig, SETTINGS } from "./config.ts";
import { Progress } from "./terminal/progress.ts";
import { paint, showProgress } from "./terminal/show.ts";

const FAILURE = 1;
const USAGE = 2;
const INTERRUPTED = 130;

/** Settings, and a signal that Ctrl-C aborts. Returns the exit code, 0 when it returns nothing. */
type Action = (config: Config, signal: AbortSignal) => Promise<number> | Promise<void>;

async function perform(action: Action): Promise<void> {
	const controller = new AbortController();
	warnOfMistyped();
	const interrupt = () => controller.abort(new Interrupted());
	process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
	try {
		const code = await action(readConfig(), controller.signal);
		process.exitCode = typeof code === "number" ? code : 0;
	} catch (error) {
		process.exitCode = controller.signal.aborted ? INTERRUPTED : report(error);
	} finally {
		process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
	}
}

/** Nobody else would ever tell that such a setting has no effect. */
function warnOfMistyped(): void {
	for (const { name, nearest } of mistypedSettings(process.env)) {
		const hint = nearest === undefined ? "./offshoot --help lists the settings" : `did you mean ${nearest}?`;
		process.stderr.write(`${paint(process.stderr, "yellow", "offshoot:")} ${name} is no setting: ${hint}\n`);
	}
}

class Interrupted extends Error {
	override readonly message = "interrupted";
}

/** Errors meant for users are shown as they are; anything else is a defect and shows where it came from. */
function report(error: unknown): number {
	const prefix = paint(process.stderr, "red", "offshoot:");
	if (error instanceof OffshootError || error instanceof CommandError) {
		const message = error.message.replace(/\.?\s+FIX: /, "\n  FIX: ");
		process.stderr.write(`${prefix} ${message}\n`);
	} else {
		process.stderr.write(`${prefix} this is a defect in Offshoot; please report it with the lines below\n`);
		process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
	}
	return FAILURE;
}

const program = new Command("offshoot")
	.description("Sandboxes for code that can be snapshotted while they run, on your own Linux machine.")
	.version(manifest.version, "-V, --version", "print the version")
	.showSuggestionAfterError()
	.showHelpAfterError("Run ./offshoot --help for the list of commands.")
	.exitOverride()
	.addHelpText(
		"after",
		({ command }) => `
Settings (environment variables):
${settings(command)}

New here?  ./offshoot quickstart`,
	);

function settings(command: Command): string {
	const help = command.createHelp();
	help.prepareContext({ helpWidth: process.stdout.columns ?? 80 });
	const width = Math.max(...SETTINGS.map(({ name }) => name.length));
	return SETTINGS.map(({ name, fallback, meaning }) => help.formatItem(name, width, `${meaning} [${fallback}]`, help)).join("\n");
}

program
	.command("quickstart")
	.description("set everything up and run the first program; needs minutes once, then seconds")
	.action(() => perform(async (config, signal) => (await import("./commands/quickstart.ts")).quickstart(config, signal)));

program
	.command("up")
	.description("start the server; Ctrl-C ends it and its sandboxes")
	.option("-d, --detach", "leave it running in the background; its output goes to server.log in the data directory")
	.addOption(program.createOption("--report-to-parent").hideHelp())
	.addHelpText("after", "\nA server that gets SIGTERM, or crashes, leaves its sandboxes running:\nthe next one takes them over.")
	.action(async (options: { detach?: true; reportToParent?: true }) => {
		const { upDetached, upForeground, upReporting, welcome } = await import("./commands/up.ts");
		// A server has its own idea of what a signal means.
		if (options.reportToParent) return performServer(upReporting);
		if (!options.detach) return performServer(upForeground);
		return perform(async (config, signal) => {
			const server = await upDetached(config, new Progress(showProgress(process.stderr)), signal);
			process.stdout.write(await welcome(config, server));
			process.stdout.write(`\nIt runs in the background (process ${server.process.pid}). End it: ./offshoot down\n`);
		});
	});

program
	.command("down")
	.description("end the server and its sandboxes, leave nothing on the host; snapshots and paused sandboxes stay")
	.addHelpText("after", "\nAlso cleans up after a server that was killed.")
	.action(() => perform(async (config, signal) => (await import("./commands/down.ts")).down(config, signal)));

program
	.command("status")
	.description("tell whether the server runs, where, and what it holds")
	.option("--json", "print JSON")
	.addHelpText("after", "\nExit code: 0 it runs, 3 it does not, 4 it is starting or stopping.")
	.action((options: { json?: true }) =>
		perform(async (config, signal) =>
			(await import("./commands/status.ts")).status(config, { json: options.json === true }, signal),
		),
	);

program
	.command("env")
	.description("print the variables that point an E2B SDK or CLI at the running server")
	.option("--tls", "reach it with TLS, by names of its domain")
	.addHelpText("after", '\nUse it so:  eval "$(./offshoot env)"')
	.action((options: { tls?: true }) =>
		perform(async (config) => (await import("./commands/env.ts")).env(config, { tls: options.tls === true })),
	);

program
	.command("cert")
	.description("make a certificate for the names of sandboxes, by an authority of your own, and say how to use it")
	.option("--domain <domain>", "sandboxes get the names below it", "sbx.test")
	.addHelpText("after", "\nRun it again to renew the certificate; the authority stays, for the same domain.")
	.action(({ domain }: { domain: string }) =>
		perform(async (config) => (await import("./commands/cert.ts")).cert(config, domain)),
	);

const key = program.command("key").description("the API keys of a team");
const TEAM = ["-t, --team <slug>", "the team; the first one if left out"] as const;

key
	.command("create")
	.description("make a key; it is shown this once")
	.argument("<name>")
	.option(...TEAM)
	.action((name: string, { team }: { team?: string }) =>
		perform(async (config, signal) => (await import("./commands/accounts.ts")).keyCreate(config, name, { team }, signal)),
	);

key
	.command("list")
	.description("list keys, never their values")
	.option(...TEAM)
	.action(({ team }: { team?: string }) =>
		perform(async (config, signal) => (await import("./commands/accounts.ts")).keyList(config, { team }, signal)),
	);

key
	.command("rename")
	.argument("<id>")
	.argument("<name>")
	.option(...TEAM)
	.action((id: string, name: string, { team }: { team?: string }) =>
		perform(async (config, signal) => (await import("./commands/accounts.ts")).keyRename(config, id, name, { team }, signal)),
	);

key
	.command("revoke")
	.description("make a key useless, at once and for good")
	.argument("<id>")
	.option(...TEAM)
	.action((id: string, { team }: { team?: string }) =>
		perform(async (config, signal) => (await import("./commands/accounts.ts")).keyRevoke(config, id, { team }, signal)),
	);

const team = program.command("team").description("the teams that share this server, each with its own sandboxes and names");

team
	.command("create")
	.description("make a team and its first key, which is shown this once")
	.argument("<slug>", "namespace of its template names")
	.option("--name <name>", "name for people; the slug if left out")
	.action((slug: string, { name }: { name?: string }) =>
		perform(async (config, signal) => (await import("./commands/accounts.ts")).teamCreate(config, slug, name, signal)),
	);

team
	.command("limits")
	.description("show or change what a team may have, from its next request on")
	.argument("<slug>")
	.option("--sandboxes <n>", "sandboxes that may run at a time, or 'default'")
	.option("--hours <n>", "longest time from a sandbox's start to its end, or 'default'")
	.action((slug: string, wanted: { sandboxes?: string; hours?: string }) =>
		perform(async (config, signal) => (await import("./commands/accounts.ts")).teamLimits(config, slug, wanted, signal)),
	);

team
	.command("list")
	.description("list teams")
	.action(() => perform(async (config, signal) => (await import("./commands/accounts.ts")).teamList(config, signal)));

const snapshot = program.command("snapshot").alias("snapshots").description("the snapshots of a team, on the running server");

snapshot
	.command("list")
	.description("list snapshots, newest first, with where they come from and how much they take")
	.option(...TEAM)
	.option("--json", "print JSON")
	.action(({ team, json }: { team?: string; json?: true }) =>
		perform(async (config, signal) =>
			(await import("./commands/snapshots.ts")).snapshotList(config, { team, json: json === true }, signal),
		),
	);

snapshot
	.command("delete")
	.description("delete a snapshot, or all of a name; one that a sandbox is based on stays")
	.argument("<id>", "id of a snapshot, or a name without tag")
	.option(...TEAM)
	.action((id: string, { team }: { team?: string }) =>
		perform(async (config, signal) => (await import("./commands/snapshots.ts")).snapshotDelete(config, id, { team }, signal)),
	);

program
	.command("doctor")
	.description("check everything the machine needs, and say how to fix what is missing; exit code 1 when a check fails")
	.option("--fix", "install Debian packages and obtain runsc first")
	.option("--json", "print JSON")
	.action((options: { fix?: true; json?: true }) =>
		perform(async (config, signal) =>
			(await import("./commands/doctor.ts")).doctor(config, { fix: options.fix === true, json: options.json === true }, signal),
		),
	);

program
	.command("test")
	.description("lint, types and all tests; the last line is 'N passed, N failed'")
	.argument("[files...]", "only tests whose path contains one of these")
	.option("--long", "also the campaigns that take minutes to hours")
	.action((files: string[], options: { long?: true }) =>
		perform(async (config, signal) =>
			(await import("./commands/test.ts")).test(config, { long: options.long === true, files }, signal),
		),
	);

program
	.command("bench")
	.description("run a benchmark, or list them")
	.argument("[name]", "the program in bench/ to run")
	.option("--json", "print JSON")
	.action((name: string | undefined, options: { json?: true }) =>
		perform(async (_, signal) => (await import("./commands/bench.ts")).bench(name, { json: options.json === true }, signal)),
	);

async function performServer(serve: (config: Config) => Promise<void>): Promise<void> {
	warnOfMistyped();
	try {
		await serve(readConfig());
		process.exitCode = 0;
	} catch (error) {
		process.exitCode = report(error);
	}
}

try {
	await program.parseAsync();
} catch (error) {
	if (!(error instanceof CommanderError)) throw error;
	// Help and version come this way too, with exit code 0.
	process.exitCode = error.exitCode === 0 ? 0 : USAGE;
}
