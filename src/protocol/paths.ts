/** Places that the host and its guests have in common. */

/** The authorities that programs trust, PEM, as Debian's family keeps them: guests always, hosts mostly. */
export const CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";
