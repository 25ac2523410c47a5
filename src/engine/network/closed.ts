/**
 * The ranges no sandbox reaches unless the operator opened them: everything that is not a public unicast address.
 * Sources: IANA's IPv4 special-purpose address registry (entries that are not globally reachable); multicast, RFC 5771;
 * and the platform address of Azure, which serves instance metadata although it looks public.
 */
export const CLOSED_CIDRS: readonly string[] = [
	"0.0.0.0/8",
	"10.0.0.0/8",
	"100.64.0.0/10",
	"127.0.0.0/8",
	"168.63.129.16/32",
	"169.254.0.0/16",
	"172.16.0.0/12",
	"192.0.0.0/24",
	"192.0.2.0/24",
	"192.168.0.0/16",
	"198.18.0.0/15",
	"198.51.100.0/24",
	"203.0.113.0/24",
	"224.0.0.0/4",
	"240.0.0.0/4",
];
