import { expect, test } from "vitest";
import { offeredProtocols } from "./http.ts";

test.each([
	[undefined, ""],
	["websocket", "websocket"],
	["h2c", ""],
	["H2C , websocket", "websocket"],
	["websocket,h2c, tls/1.0", "websocket, tls/1.0"],
	[" , ", ""],
])("of %j a proxy offers %j", (upgrade, offered) => {
	expect(offeredProtocols(upgrade)).toBe(offered);
});
