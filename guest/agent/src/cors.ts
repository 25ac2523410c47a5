/** Any web page may call the daemon: the access token protects it, not the origin. Source: E2B wire protocol. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { preflightHeaders } from "../../../src/protocol/index.ts";

/** Those of the RPC protocols, and what file downloads carry. */
const EXPOSED = [
	"Grpc-Status",
	"Grpc-Message",
	"Grpc-Status-Details-Bin",
	"Content-Encoding",
	"Connect-Content-Encoding",
	"Location",
	"Cache-Control",
	"X-Content-Type-Options",
].join(", ");

export function allowOrigin(response: ServerResponse): void {
	response.setHeader("Access-Control-Allow-Origin", "*");
	response.setHeader("Access-Control-Expose-Headers", EXPOSED);
}

export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
	response.writeHead(204, preflightHeaders(request)).end();
}
