/**
 * The encrypted twin of the plain listener: ends TLS and hands each connection to the server of the protocol that was
 * agreed. Guarantees that what a client may reach does not depend on how it came.
 */
import type { Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { INTERPRETER_PORT } from "../protocol/index.ts";
import type { Http2Door } from "./http2.ts";

export interface Certificate {
	/** PEM, the server's certificate first, then those that lead to the authority. */
	readonly cert: string;
	/** PEM */
	readonly key: string;
}

export interface TlsOptions extends Certificate {
	/** 0 takes a free one. */
	readonly port: number;
}

export interface TlsListener {
	readonly port: number;
	/** For handshakes from now on; open connections go on. @throws OpenSSL's error about certificate and key, changing nothing */
	renew(certificate: Certificate): void;
	/** Stops accepting; resolves when every connection is closed. */
	close(): Promise<void>;
}

const HANDSHAKE_TIMEOUT_MS = 20_000;

interface Offer {
	/** False when the client connects to an address; Node's types promise a string. */
	readonly servername: string | false;
	readonly protocols: readonly string[];
}

/**
 * Clients of the code interpreter recognise the end of their sandbox in HTTP/1.1 only: from the reset of an HTTP/2
 * stream they make an error that says nothing.
 */
function preferred(servername: string | false): readonly string[] {
	const interpreter = servername !== false && servername.startsWith(`${INTERPRETER_PORT}-`);
	return interpreter ? ["http/1.1", "h2"] : ["h2", "http/1.1"];
}

/** Listens. @throws the listen error, or OpenSSL's about certificate and key */
export async function openTls(bind: string, options: TlsOptions, http1: HttpServer, http2: Http2Door): Promise<TlsListener> {
	const { cert, key, port } = options;
	const ALPNCallback = ({ servername, protocols }: Offer) => preferred(servername).find((name) => protocols.includes(name));
	const server = createServer({ cert, key, ALPNCallback, handshakeTimeout: HANDSHAKE_TIMEOUT_MS });
	server.on("secureConnection", (socket) => {
		if (socket.alpnProtocol === "h2") http2.serve(socket);
		else http1.emit("connection", socket);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, bind, () => {
			server.off("error", reject);
			resolve();
		});
	});
	return {
		port: (server.address() as AddressInfo).port,
		renew: (certificate) => server.setSecureContext({ cert: certificate.cert, key: certificate.key }),
		close: () => new Promise((resolve) => server.close(() => resolve())),
	};
}
