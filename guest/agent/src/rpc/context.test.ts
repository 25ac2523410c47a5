import { createContextValues, createHandlerContext, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, test, vi } from "vitest";
import { Process } from "../../../../src/protocol/gen/process_pb.js";
import { IDENTITY } from "../../testing/identity.ts";
import { Users } from "../users.ts";
import { identityKey, keepaliveMs, requireUser, userOf } from "./context.ts";

const asked = (interval?: string) =>
	keepaliveMs({ requestHeader: new Headers(interval === undefined ? {} : { "Keepalive-Ping-Interval": interval }) });

describe("keep-alives come", () => {
	test("after 90 s of silence unless the client asks for another interval", () => {
		expect(asked()).toBe(90_000);
		expect(["1", "2.5", "50", "86400"].map(asked)).toEqual([1_000, 2_500, 50_000, 86_400_000]);
	});

	test.each(["0", "-1", "0.5", "86401", "1e99", "soon", ""])("after 90 s when the interval asked for is '%s'", (interval) => {
		expect(asked(interval)).toBe(90_000);
	});
});

describe("the user of a call", () => {
	function callAs(name?: string): HandlerContext {
		return createHandlerContext({
			service: Process,
			method: Process.method.list,
			protocolName: "connect",
			requestMethod: "POST",
			url: "http://sandbox/process.Process/List",
			requestHeader: name === undefined ? {} : { authorization: `Basic ${Buffer.from(`${name}:`).toString("base64")}` },
			contextValues: createContextValues().set(identityKey, IDENTITY),
		});
	}

	test.each([
		["is looked up once when the call names one", "nobody", "nobody"],
		["is looked up once when it is the sandbox's default", undefined, "root"],
	])("%s", (_title, named, user) => {
		const users = new Users();
		const find = vi.spyOn(users, "find");
		const call = callAs(named);
		requireUser(call, users);
		expect(userOf(call, users).name).toBe(user);
		expect(find).toHaveBeenCalledOnce();
	});

	test("must be there when the call names one, also if nothing is done as that user", () => {
		expect(() => requireUser(callAs("nosuch"), new Users())).toThrow("invalid username: 'nosuch'");
	});
});
