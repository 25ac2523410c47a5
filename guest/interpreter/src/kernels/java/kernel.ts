/** A Java kernel: a process that runs cells in the JDK's own shell, JShell (guest/interpreter/java). */

import { existsSync } from "node:fs";
import type { Command } from "../../node-kernel/protocol.ts";
import { type Kernel, KernelUnavailable, type LaunchOptions } from "../kernel.ts";
import { launchReportingKernel, ReportingKernel } from "../reporting.ts";

/**
 * The collector with the least memory of its own; half of the sandbox's memory for the heap, where the default is a
 * quarter; no file of counters in /tmp; classes read from the archive that the template's build made, if it still fits.
 */
const OPTIONS = ["-XX:+UseSerialGC", "-XX:MaxRAMPercentage=50", "-XX:-UsePerfData", "-Xshare:auto"];

/** Starts the kernel in the archive `jar`; see LaunchKernel. */
export async function launchJavaKernel(jar: string, options: LaunchOptions): Promise<Kernel> {
	if (!existsSync(jar)) throw new KernelUnavailable('the kernel of language "java" is not installed in this template');
	const classes = `-XX:SharedArchiveFile=${jar.replace(/\.jar$/, ".jsa")}`;
	const command = ["java", ...OPTIONS, classes, "-jar", jar];
	return launchReportingKernel(command, options, (kernelProcess) => new JavaKernel(kernelProcess, "Java"));
}

class JavaKernel extends ReportingKernel {
	/** Words between spaces: the kernel reads them without a library. */
	protected override lineOf(command: Command): string {
		switch (command.type) {
			case "execute":
				return `execute ${command.execution} ${word(command.code)}`;
			case "interrupt":
				return `interrupt ${command.execution}`;
			case "reseed":
				return `reseed ${command.request} ${command.seed}`;
			case "environment":
				return ["environment", command.request, ...Object.entries(command.changes).map(change)].join(" ");
		}
	}
}

function change([name, value]: readonly [string, string | null]): string {
	return value === null ? word(name) : `${word(name)}=${word(value)}`;
}

/** `text` without spaces and line ends, as the kernel reads it. */
function word(text: string): string {
	return encodeURIComponent(text.toWellFormed());
}
