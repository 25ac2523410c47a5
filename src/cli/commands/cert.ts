import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { paint } from "../terminal/show.ts";
import { renewCertificate, type TlsFiles } from "../tls/files.ts";

/** At least two labels: clients accept no `*.<label>`. */
const DOMAIN = /^(?=.{4,200}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

const DEFAULT_PORT = 8443;

/** @throws OffshootError invalid_request when `domain` is none */
export async function cert(config: Config, domain: string): Promise<void> {
	if (!DOMAIN.test(domain)) {
		throw new OffshootError("invalid_request", `--domain ${domain} is not a domain in lower case, such as sbx.test`);
	}
	const files = await renewCertificate(config.dataDir, domain);
	process.stdout.write(instructions(files, domain, config.tls?.port ?? DEFAULT_PORT));
}

function instructions(files: TlsFiles, domain: string, port: number): string {
	const title = (text: string) => paint(process.stdout, "bold", text);
	return `${title(`Certificate for ${domain} and *.${domain}`)}
  certificate  ${files.cert}
  authority    ${files.authority}  (vouches for names of ${domain} only)

${title("Server")}: start it, or start it again, with
  OFFSHOOT_TLS_PORT=${port}

${title("Names")}: ${domain} and every name below it must lead to this machine.
With dnsmasq on this machine:
  address=/${domain}/127.0.0.1

${title("Clients")}:
  eval "$(./offshoot env --tls)"
sets, besides the API key,
  E2B_DOMAIN=${domain}:${port}
  NODE_EXTRA_CA_CERTS (Node), CURL_CA_BUNDLE (curl),
  SSL_CERT_FILE (Python, OpenSSL, Go; it replaces what they trust otherwise)
to ${files.authority}

To trust it on the whole machine instead (Debian, Ubuntu):
  cp ${files.authority} \\
    /usr/local/share/ca-certificates/offshoot-${domain}.crt
  update-ca-certificates
Browsers keep authorities of their own: import it there as one for web sites.
`;
}
