import { expect, test } from "vitest";
import { parseResolvConf } from "./resolv-conf.ts";

test("nameservers are read in their order, at most three, comments and other options left out", () => {
	const text =
		"# nameserver 9.9.9.9\nsearch example.com\nnameserver 127.0.0.53\n  nameserver\tfe80::1%eth0 \nnameserver 1.1.1.1\nnameserver 8.8.8.8\n";
	expect(parseResolvConf(text)).toEqual(["127.0.0.53", "fe80::1%eth0", "1.1.1.1"]);
});

test("a file without nameservers means the local one", () => {
	expect(parseResolvConf("options edns0\nnameserver bogus\n")).toEqual(["127.0.0.1"]);
});
