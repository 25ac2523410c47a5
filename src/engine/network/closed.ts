/**
 * The ranges no sandbox reaches unless the operator opened them: whatever may lead into a network around the host.
 * Sources: IANA's IPv4 special-purpose address registry (entries that are not globally reachable; those for documentation
 * are left out, since nothing stands behind them); multicast, RFC 5771; and Azure's platform address, which serves
 * instance metadata although it looks public.
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
	"192.168.0.0/16",
	"198.18.0.0/15",
	"224.0.0.0/4",
	"240.0.0.0/4",
];
