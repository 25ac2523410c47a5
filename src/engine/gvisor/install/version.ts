/**
 * Which runsc may be used, told by the version string alone. Restoring demands that the string is exactly the one that
 * wrote the image, so a build without one, where all builds look alike, is as unusable as one that is too old.
 */

/** First release whose checkpoints and sidecar layout Offshoot relies on. */
export const OLDEST_RELEASE = 20260907;
/** Date of the source behind `module/go.mod`; also the oldest build of that kind that is accepted. */
const MODULE_DATE = 20260905;
/** Version string of our own builds from `module/go.mod`: changes whenever that file does. */
export const MODULE_VERSION = `offshoot-${MODULE_DATE}`;

export type RunscVersion =
	| { readonly kind: "release"; readonly version: string }
	/** Built from the Go module: without the sidecar binaries of a release. */
	| { readonly kind: "module"; readonly version: string }
	| { readonly kind: "refused"; readonly reason: string };

/** @param output what `runsc --version` prints; its first line ends with the version */
export function judgeVersion(output: string): RunscVersion {
	const version = /^runsc version (\S+)/m.exec(output)?.[1];
	if (version === undefined) return { kind: "refused", reason: "it does not tell its version" };
	if (version === "VERSION_MISSING") {
		return { kind: "refused", reason: "it was built without a version string, so snapshots could not name the engine they need" };
	}
	const release = /^release-(\d{8})(\.|$)/.exec(version);
	if (release) {
		if (Number(release[1]) >= OLDEST_RELEASE) return { kind: "release", version };
		return { kind: "refused", reason: `${version} is older than release-${OLDEST_RELEASE}` };
	}
	const own = /^offshoot-(\d{8})([.-]|$)/.exec(version);
	if (own && Number(own[1]) >= MODULE_DATE) return { kind: "module", version };
	return {
		kind: "refused",
		reason: `version ${version} is none of gVisor's own releases from release-${OLDEST_RELEASE} on (distributions package years-old ones)`,
	};
}
