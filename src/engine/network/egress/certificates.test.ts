import { expect, test } from "vitest";
import { Certificates } from "./certificates.ts";

const forever = new AbortController().signal;

test("a slot that asks for many names gets one after the other, and keeps nobody else waiting", async () => {
	const asked: string[] = [];
	const refused = new Error("refused");
	const certificates = new Certificates(async (name) => {
		asked.push(name);
		throw refused;
	});
	const leaving = new AbortController();
	const flood = Array.from({ length: 50 }, (_, n) => certificates.contextFor(`n${n}.a.test`, "a", leaving.signal));
	const ended = Promise.allSettled(flood);
	await expect(certificates.contextFor("n49.a.test", "b", forever)).rejects.toBe(refused);
	expect(asked).toEqual(["n0.a.test", "n49.a.test"]);
	leaving.abort(new Error("gone"));
	expect((await ended).filter(({ status }) => status === "rejected")).toHaveLength(50);
	expect(asked).toHaveLength(2);
});
