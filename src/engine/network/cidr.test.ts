import { expect, test } from "vitest";
import { formatCidr, ipv4Cidrs, overlaps, parseCidr } from "./cidr.ts";

test("a CIDR is cleared of its host bits; an address is a CIDR of one", () => {
	expect(formatCidr(parseCidr("10.1.2.3/8"))).toBe("10.0.0.0/8");
	expect(formatCidr(parseCidr("255.255.255.255"))).toBe("255.255.255.255");
	expect(formatCidr(parseCidr("1.2.3.4/0"))).toBe("0.0.0.0/0");
});

test.each([
	"",
	"10.0.0.0/33",
	"10.0.0/8",
	"1.2.3.4/8/8",
	"1.2.3.4/-1",
	"1.2.3.4/",
	"010.0.0.1",
	"1.2.3.4 } accept",
	"example.com",
	"::1",
])("%j is no IPv4 CIDR", (text) => {
	expect(() => parseCidr(text)).toThrow(RangeError);
});

test("IPv6 entries are left out of a list, other text is an error", () => {
	expect(ipv4Cidrs(["::/0", "8.8.8.8", "2001:db8::/32"])).toEqual(["8.8.8.8"]);
	expect(() => ipv4Cidrs(["2001:db8::/129"])).toThrow(RangeError);
});

test("ranges overlap when one holds the other, not when they only touch", () => {
	expect(overlaps(parseCidr("10.0.0.0/8"), parseCidr("10.255.255.255"))).toBe(true);
	expect(overlaps(parseCidr("10.255.255.255"), parseCidr("10.0.0.0/8"))).toBe(true);
	expect(overlaps(parseCidr("10.0.0.0/9"), parseCidr("10.128.0.0/9"))).toBe(false);
});
