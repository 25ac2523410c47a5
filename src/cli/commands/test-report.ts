import { type Static, Type } from "typebox";
import { Value } from "typebox/value";

const VitestReportSchema = Type.Object({
	numPassedTests: Type.Integer(),
	numFailedTests: Type.Integer(),
	numPendingTests: Type.Integer(),
	testResults: Type.Array(
		Type.Object({
			status: Type.String(),
			assertionResults: Type.Array(Type.Object({ status: Type.String() })),
		}),
	),
});
type VitestReport = Static<typeof VitestReportSchema>;

export interface Tally {
	readonly passed: number;
	readonly failed: number;
}

export function add(a: Tally, b: Tally): Tally {
	return { passed: a.passed + b.passed, failed: a.failed + b.failed };
}

/** One thing that went well or not. */
export function one(good: boolean): Tally {
	return good ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/**
 * Counts a vitest run. A file that broke before its first test counts as a failed test, and so does a run that went
 * wrong without naming one (a crash, an unhandled error, no report at all): nothing that failed may look like success.
 *
 * @param json the report of vitest's json reporter; undefined when it wrote none
 */
export function tallyVitest(json: string | undefined, exitCode: number): Tally {
	const report = json === undefined ? undefined : parse(json);
	if (report === undefined) return one(false);
	const brokenFiles = report.testResults.filter(
		(file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
	).length;
	const failed = report.numFailedTests + brokenFiles;
	return { passed: report.numPassedTests, failed: failed === 0 && exitCode !== 0 ? 1 : failed };
}

function parse(json: string): VitestReport | undefined {
	try {
		const parsed: unknown = JSON.parse(json);
		return Value.Check(VitestReportSchema, parsed) ? parsed : undefined;
	} catch {
		return undefined;
	}
}

/** Closes every run of the tests; machines read it. */
export function closingLine({ passed, failed }: Tally): string {
	return `${passed} passed, ${failed} failed\n`;
}
