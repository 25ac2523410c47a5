/**
 * What cells find in ijavascript, the kernel they may have been written for: `$$`, which shows a value in another form than
 * text, and methods by which a value shows itself. https://n-riesco.github.io/ijavascript/doc/custom.ipynb.html
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Buffer } from "node:buffer";
import { inspect } from "node:util";
import type { ResultEvent } from "../events.ts";
import { type MimeBundle, resultEvent } from "../results.ts";

const FORMS = {
	text: "text/plain",
	html: "text/html",
	svg: "image/svg+xml",
	png: "image/png",
	jpeg: "image/jpeg",
	json: "application/json",
} as const;

/** Forms that are shown by assigning to `$$form$$` as well. */
const ASSIGNED = ["html", "svg", "png", "jpeg", "mime"] as const;

type Show = (value: unknown, keepAlive?: boolean) => void;

/** What one cell asked for. */
export class CellDisplay {
	/** True once the cell showed its result itself: then its value is none. */
	answered = false;
	/** What is shown when promises resolve; the cell waits for them. */
	readonly waiting: Promise<void>[] = [];
	/** Set by `$$.async()`: the cell lasts until `$$.done()`. */
	done: PromiseWithResolvers<void> | undefined;

	/** Resolves when all is shown. Rejects with what a promise was rejected with. */
	async finished(): Promise<void> {
		await this.done?.promise;
		for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) await next;
	}
}

/**
 * Makes `$$` available to cells. The returned function begins a cell and calls `run`; in that, and in all that comes of it
 * (timers, promises), `$$` is that cell's, also when others run by then.
 */
export function installDisplay(report: (event: ResultEvent) => void): <T>(run: (cell: CellDisplay) => T) => T {
	let current = new CellDisplay();
	const cells = new AsyncLocalStorage<CellDisplay>();
	const own = () => cells.getStore() ?? current;

	/** Reports `bundleOf(value)` when `value` has resolved, as the result of the cell or beside it. */
	const shower = (bundleOf: (value: unknown) => MimeBundle, origin: "execute_result" | "display_data"): Show => {
		const isResult = origin === "execute_result";
		const showIn = (cell: CellDisplay, value: unknown, keepAlive: boolean): void => {
			if (cell !== current || (isResult && cell.answered)) return;
			if (value instanceof Promise) {
				const shown = value.then((resolved) => showIn(cell, resolved, keepAlive));
				shown.catch(() => undefined);
				cell.waiting.push(shown);
				return;
			}
			report(resultEvent(plain(bundleOf(value)), origin));
			if (isResult && !keepAlive) cell.answered = true;
		};
		return (value, keepAlive = false) => showIn(own(), value, keepAlive);
	};

	const shows = (origin: "execute_result" | "display_data"): Record<string, Show> => ({
		mime: shower((value) => (isObject(value) ? value : {}), origin),
		...Object.fromEntries(
			Object.entries(FORMS).map(([form, type]) => [form, shower((value) => ({ [type]: inForm(type, value) }), origin)]),
		),
	});

	const results = shows("execute_result");
	const sendResult = shower(formsOf, "execute_result");
	const async = (on = true) => {
		const cell = own();
		if (on) cell.done ??= Promise.withResolvers();
		else cell.done?.resolve();
	};
	const done = (...values: [] | [unknown]) => {
		if (values.length > 0) sendResult(values[0]);
		const cell = own();
		cell.answered = true;
		cell.done?.resolve();
	};
	// Once, and not for each cell: what a cell makes of these names stays.
	hide("$$", { value: { ...results, sendResult, async, done, display: () => shows("display_data") }, writable: true });
	for (const form of ASSIGNED) hide(`$$${form}$$`, { get: () => undefined, set: (value) => results[form]?.(value) });

	return (run) => {
		current = new CellDisplay();
		return cells.run(current, run, current);
	};
}

/** A value in every form it has. */
export function formsOf(value: unknown): MimeBundle {
	const bundle: Record<string, unknown> = { "text/plain": inspect(value, { maxArrayLength: null, maxStringLength: null }) };
	if (!isObject(value) && typeof value !== "function") return bundle;
	for (const [name, type] of Object.entries(FORMS)) {
		const form = called(value, `_to${name[0]?.toUpperCase()}${name.slice(1)}`);
		if (form !== undefined && type !== "application/json") bundle[type] = inForm(type, form);
	}
	const own = called(value, "_toMime");
	try {
		return { ...bundle, ...(isObject(own) ? plain(own) : {}) };
	} catch {
		return bundle;
	}
}

/** What the method returns; undefined if there is none, or if it fails: then the value is shown without that form. */
function called(value: object, method: string): unknown {
	try {
		const found: unknown = Reflect.get(value, method);
		return typeof found === "function" ? Reflect.apply(found, value, []) : undefined;
	} catch {
		return undefined;
	}
}

/** Pictures are base64; JSON is a value; all else is text. */
function inForm(type: string, value: unknown): unknown {
	if (type === "application/json") return value;
	return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : String(value);
}

/** @throws if something in it has no JSON form */
function plain(bundle: object): MimeBundle {
	const copy: MimeBundle = JSON.parse(
		JSON.stringify(bundle, (_key, value: unknown) =>
			value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
		),
	);
	return copy;
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}

function hide(name: string, descriptor: PropertyDescriptor): void {
	Object.defineProperty(globalThis, name, { ...descriptor, configurable: true, enumerable: false });
}
