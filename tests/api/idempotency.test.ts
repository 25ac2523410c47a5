import { randomUUID } from "node:crypto";
import { Sandbox } from "e2b";
import { expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newSandbox, sdk } from "../support/sandboxes.ts";

test.each(["/v2/sandboxes", "/sandboxes"])("POST %s with a key makes one sandbox, however often it is sent", async (path) => {
	const headers = { "Idempotency-Key": `create-${randomUUID()}` };
	const body = { templateID: "base", timeout: 120, metadata: { key: headers["Idempotency-Key"] } };
	const answers = await Promise.all(Array.from({ length: 4 }, () => rest("POST", path, body, headers)));
	const made = answers.filter((answer) => answer.status === 201);
	for (const { status, body, headers } of answers.filter((answer) => answer.status !== 201)) {
		expect([status, body.error_code]).toEqual([409, "idempotency_in_progress"]);
		expect([headers.get("retry-after"), headers.get("should-retry")]).toEqual(["1", "true"]);
	}
	const again = await rest("POST", path, body, headers);
	expect([again.status, again.body]).toEqual([201, made[0]?.body]);
	killAtEnd(await Sandbox.connect(again.body.sandboxID, sdk()));
	const query = { metadata: { key: headers["Idempotency-Key"] } };
	expect(await Sandbox.list({ ...sdk(), query }).nextItems()).toHaveLength(1);
	const other = await rest("POST", path, { ...body, timeout: 60 }, headers);
	expect([other.status, other.body.error_code]).toEqual([409, "idempotency_request_mismatch"]);
	expect(other.headers.get("should-retry")).toBe("false");
});

test("a snapshot with a key is taken once", async () => {
	const sandbox = await newSandbox();
	const path = `/sandboxes/${sandbox.sandboxId}/snapshots`;
	const headers = { "Idempotency-Key": `snapshot-${randomUUID()}` };
	const first = await rest("POST", path, {}, headers);
	expect(first.status).toBe(201);
	deleteAtEnd(first.body.snapshotID);
	expect((await rest("POST", path, {}, headers)).body).toEqual(first.body);
	const listed = await Sandbox.listSnapshots({ ...sdk(), sandboxId: sandbox.sandboxId }).nextItems();
	expect(listed).toHaveLength(1);
	expect((await rest("POST", path, { name: "other" }, headers)).body.error_code).toBe("idempotency_request_mismatch");
});

test.each(["A", "a_b", "x".repeat(256)])("the key %j is refused", async (key) => {
	const answer = await rest("POST", "/v2/sandboxes", { templateID: "base" }, { "Idempotency-Key": key });
	expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining("Idempotency-Key") } });
});
