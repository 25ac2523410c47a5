/** Any web page may call the daemon: the access token protects it, not the origin. Source: E2B wire protocol. */
import type { IncomingMessage, ServerResponse } from "node:http";

const METHODS = "HEAD, GET, POST, PUT, PATCH, DELETE";
const MAX_AGE_S = 7200;

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

export function isPreflight(request: IncomingMessage): boolean {
	return request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
}

export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
	response.writeHead(204, {
		"Access-Control-Allow-Methods": METHODS,
		"Access-Control-Allow-Headers": request.headers["access-control-request-headers"] ?? "*",
		"Access-Control-Max-Age": MAX_AGE_S,
		Vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
	});
	response.end();
}
