/** The words in which the end of a process is told: those of Go's os.ProcessState, which clients show to users. */
import type { ProgramEnd } from "../sysd/program.ts";

export interface Ending {
	readonly exitCode: number;
	/** False when a signal ended it. */
	readonly exited: boolean;
	readonly status: string;
	readonly error: string | undefined;
}

/** Go's names of signals on Linux. Source: syscall/zerrors_linux_amd64.go. */
const SIGNALS: Readonly<Record<number, string>> = {
	1: "hangup",
	2: "interrupt",
	3: "quit",
	4: "illegal instruction",
	5: "trace/breakpoint trap",
	6: "aborted",
	7: "bus error",
	8: "floating point exception",
	9: "killed",
	10: "user defined signal 1",
	11: "segmentation fault",
	12: "user defined signal 2",
	13: "broken pipe",
	14: "alarm clock",
	15: "terminated",
};

/** @param end undefined when nobody is left who could know: the process is taken for killed */
export function describeEnd(end: ProgramEnd | undefined): Ending {
	if (end !== undefined && end.signal === 0) {
		const status = `exit status ${end.exitCode}`;
		return { exitCode: end.exitCode, exited: true, status, error: end.exitCode === 0 ? undefined : status };
	}
	const signal = end?.signal ?? 9;
	const status = `signal: ${SIGNALS[signal] ?? `signal ${signal}`}${end?.coreDumped === true ? " (core dumped)" : ""}`;
	return { exitCode: -1, exited: false, status, error: status };
}
