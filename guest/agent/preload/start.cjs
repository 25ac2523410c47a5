/** What our Nodes run before their program. */
"use strict";

// Node names its main thread `node-MainThread` after it has read `--title`; setting the title again renames it.
const { title } = process;
process.title = title;

// With `--expose-gc`: what a collection frees goes back to the kernel, so that it is not in the next snapshot.
const { gc } = globalThis;
if (gc) {
	const addon = { exports: {} };
	process.dlopen(addon, `${__dirname}/addon.node`);
	globalThis.gc = (options) => {
		gc(options);
		addon.exports.trim();
	};
}
