/** Requests to the server that nobody should send: to its API, and through its proxy to sandboxes. */
import { type Attempt, attempt, damaged, HTTP_HEADERS, NOT_HTTP, promisedMore, requestBytes } from "../support/malformed.ts";
import { pick } from "../support/random.ts";

type Random = () => number;

/** Who sends, and what they know of others. */
export interface Attacker {
	readonly apiKey: string;
	/** Sandboxes of others and of their own, and the ids of sandboxes that never were. */
	readonly sandboxIds: readonly string[];
	/** Ids and names of templates and snapshots, their own and others'. */
	readonly templates: readonly string[];
	/** Ids of teams, keys and builds of others. */
	readonly objects: readonly string[];
}

const SEGMENTS = [
	"%00",
	"..",
	"%2e%2e",
	"%2e%2e%2f%2e%2e",
	"%",
	"%ff%fe",
	"'; drop table sandboxes; --",
	"__proto__",
	"constructor",
	"null",
	"-",
	"a-b-c-d",
	"I0000000000000000000",
	"\u00e9\u00ff",
	"x".repeat(2000),
	":",
	"a:b:c",
	"%2Fa",
	"{sandboxID}",
].map((segment) => segment.replaceAll(" ", "%20"));

/** `{s}` a sandbox, `{t}` a template, `{o}` another object. */
const ROUTES = [
	"POST /sandboxes",
	"POST /v2/sandboxes",
	"GET /sandboxes",
	"GET /v2/sandboxes",
	"GET /sandboxes/{s}",
	"DELETE /sandboxes/{s}",
	"POST /sandboxes/{s}/connect",
	"POST /v2/sandboxes/{s}/connect",
	"POST /sandboxes/{s}/resume",
	"POST /sandboxes/{s}/pause",
	"POST /sandboxes/{s}/timeout",
	"POST /sandboxes/{s}/refreshes",
	"PUT /sandboxes/{s}/network",
	"POST /sandboxes/{s}/fork",
	"POST /sandboxes/{s}/snapshots",
	"GET /sandboxes/{s}/metrics",
	"GET /sandboxes/metrics",
	"GET /sandboxes/{s}/logs",
	"GET /v2/sandboxes/{s}/logs",
	"GET /snapshots",
	"GET /templates",
	"GET /v2/templates",
	"GET /templates/{t}",
	"DELETE /templates/{t}",
	"PATCH /templates/{t}",
	"PATCH /v2/templates/{t}",
	"GET /templates/aliases/{t}",
	"GET /templates/{t}/tags",
	"POST /templates/tags",
	"DELETE /templates/tags",
	"POST /v3/templates",
	"POST /v2/templates/{t}/builds/{o}",
	"GET /templates/{t}/builds/{o}/status",
	"GET /templates/{t}/builds/{o}/logs",
	"GET /templates/{t}/files/{o}",
	"GET /teams",
	"GET /teams/{o}/metrics",
	"GET /teams/{o}/metrics/max",
	"GET /api-keys",
	"POST /api-keys",
	"PATCH /api-keys/{o}",
	"DELETE /api-keys/{o}",
	"GET /volumes/{o}",
	"GET /secrets/{o}",
	"POST /volumes",
	"GET /nodes",
	"GET /nodes/{o}",
	"GET /admin/teams",
	"POST /admin/teams",
	"PATCH /admin/teams/{o}",
	"POST /admin/teams/{o}/sandboxes/kill",
	"GET /openapi.json",
	"GET /health",
	"GET /metrics",
	"GET /{o}",
];

const QUERIES = [
	"limit=0",
	"limit=1e9",
	"limit=x&limit=y",
	"nextToken=%00",
	"nextToken=AAAA",
	"nextToken=MjAyNi0wMS0wMVQwMDowMDowMFpfX2lhYmM",
	"state=sleeping",
	"state=running,,paused",
	"order=up",
	"startedAfter=yesterday",
	"startedAfter=999999-01-01T00:00:00Z",
	"metadata=%25%25%25",
	"metadata=a%3Db%26a%3Dc%26__proto__%3Dx",
	"template=base:v1",
	"template='--",
	"sandbox_ids=",
	`sandbox_ids=${"i,".repeat(500)}`,
	"start=-1&end=NaN",
	"start=99999999999999999999",
	"cursor=x&direction=sideways&level=7&search=%00",
	"limit[]=1&limit[a]=2",
	"name=%2e%2e/x:",
	"metric=everything",
	"&&&===",
	"teamID=../..",
	`q=${"x".repeat(9000)}`,
];

/** No body is in order for a route that would make something: each is wrong in two ways, so that damage does not mend it. */
const BODIES = [
	"",
	"{",
	"[]",
	"null",
	'"text"',
	"7",
	"\u0000",
	`${"[".repeat(5000)}${"]".repeat(5000)}`,
	`{"a":${"9".repeat(400)}e400}`,
	'{"templateID":7,"timeout":"soon"}',
	'{"templateID":"../../etc/passwd","timeout":-5}',
	'{"templateID":"base","timeout":1e400,"metadata":{"a":1}}',
	'{"templateID":"base","timeout":0,"envVars":["x"]}',
	'{"templateID":{"$ne":null},"timeout":[]}',
	'{"templateID":"base:v9:v9","metadata":{"__proto__":7}}',
	'{"templateID":"no-such-template","network":{"denyOut":["no-address"]}}',
	'{"templateID":"base","network":{"allowOut":7,"httpsPorts":[99999999]},"timeout":{}}',
	'{"templateID":"base","network":{"egressProxy":{"address":":::"},"rules":7,"denyOut":[7]}}',
	'{"templateID":"base","autoPause":"yes","autoPauseMemory":[],"autoResume":{"enabled":"on"}}',
	'{"templateID":"base","volumeMounts":{"name":"v"},"iam":7,"timeout":"x"}',
	'{"timeout":-1e9,"memory":"no"}',
	'{"timeout":1.5,"memory":[]}',
	'{"count":101,"timeout":[]}',
	'{"count":-1,"timeout":{}}',
	'{"name":"../up","memory":"x"}',
	'{"name":7,"memory":7}',
	'{"name":"UPPER CASE/\u0000:","tags":[7]}',
	'{"name":"","tags":"x","cpuCount":0.5,"memoryMB":-1}',
	'{"name":"x:y:z","tags":["default"],"cpuCount":1e9}',
	'{"target":"base:x:y","tags":[{}]}',
	'{"duration":-1e99,"timeout":"x"}',
	'{"public":"yes","names":7}',
	'{"allowOut":["*.*.*"],"denyOut":[""],"rules":{"a":7}}',
	'{"slug":"../x","name":7}',
	'{"fromImage":7,"fromTemplate":7,"steps":"RUN","force":"x"}',
	`{"templateID":"base","metadata":{"k":7},"envVars":{"${"k".repeat(100_000)}":7}}`,
];

const TYPES = [
	"application/json",
	"application/json",
	"application/json; charset=utf-16",
	"text/plain",
	"multipart/form-data",
	"application/x-www-form-urlencoded",
	"application/octet-stream",
	"/",
	"",
];

const HEADERS = [
	...HTTP_HEADERS,
	"Content-Encoding: gzip",
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99",
	"HTTP2-Settings: !!!",
	`X-Long: ${"x".repeat(70_000)}`,
	"Idempotency-Key: ",
	"Idempotency-Key: NOT/VALID",
	`Idempotency-Key: ${"k".repeat(300)}`,
	"X-Team-ID: none",
	"X-Admin-Token: x",
	"Origin: null",
	"Access-Control-Request-Method: \u00ff",
	"X-Forwarded-For: 127.0.0.1",
	"X-Forwarded-Host: 49983-x.y",
	"E2B-Traffic-Access-Token: x",
	"X-Access-Token: x",
	"Accept: text/html\r\nUser-Agent: Mozilla/5.0",
	"Range: bytes=9-1",
	"Host: second.example",
];

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", ""];

const NO_REQUESTS = [...NOT_HTTP, Buffer.from("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n")];

/** To the API. No body makes anything, and no path names what is the attacker's own and may change. */
export function apiRequest(random: Random, attacker: Attacker): Attempt {
	if (random() < 0.03) return attempt(random, pick(random, NO_REQUESTS));
	const [method = "GET", template = "/"] = pick(random, ROUTES).split(" ");
	const path = template
		.replace("{s}", () => pick(random, random() < 0.6 ? attacker.sandboxIds : SEGMENTS))
		.replace("{t}", () => encodeURIComponent(pick(random, attacker.templates)))
		.replace("{o}", () => pick(random, random() < 0.5 ? attacker.objects : SEGMENTS));
	const query = random() < 0.3 ? `?${pick(random, QUERIES)}` : "";
	const headers = ["Connection: close", "Host: api.localhost", `Content-Type: ${pick(random, TYPES)}`];
	const key = random();
	if (key < 0.85) headers.push(`X-API-KEY: ${attacker.apiKey}`);
	else if (key < 0.9) headers.push(`Authorization: Bearer ${attacker.apiKey}`);
	else if (key < 0.95) headers.push("X-API-KEY: '; drop table api_keys; --");
	while (random() < 0.25) headers.push(pick(random, HEADERS));
	const bytes = requestBytes({
		method: random() < 0.9 ? method : pick(random, METHODS),
		path: path + query,
		headers,
		body: Buffer.from(pick(random, BODIES)),
		promisedMore: promisedMore(random),
	});
	return attempt(random, random() < 0.2 ? damaged(random, bytes) : bytes);
}

const PORTS = ["49983", "49983", "49999", "8000", "49982", "22", "0", "65535", "65536", "-1", "+80", "0x50", "8e1", "x", ""];

const GUEST_PATHS = [
	"/",
	"/health",
	"/files?path=secret",
	"/files?path=secret&signature=v1_x",
	"/files?path=secret&signature=v1_x&signature_expiration=1",
	"/files?path=/etc/passwd&username=root",
	"/envs",
	"/metrics",
	"/init",
	"/%69nit",
	"/./init",
	"/process.Process/Start",
	"/process.Process/List",
	"/filesystem.Filesystem/Remove",
	"/contexts",
	"/execute",
	"//",
	"*",
	"http://49983-x.y/envs",
	`/${"z".repeat(9000)}`,
	"",
];

const GUEST_BODIES = ["", "{}", "[", '{"path":"secret"}', '{"process":{"cmd":"/bin/true"}}', "\u0000\u0000\u0000\u0000\u0002{}"];

/** Through the proxy, by host name or by headers, without the token of any sandbox. */
export function proxyRequest(random: Random, attacker: Attacker): Attempt {
	const id = pick(random, random() < 0.7 ? attacker.sandboxIds : SEGMENTS);
	const headers = ["Connection: close", ...address(random, id, pick(random, PORTS))];
	if (random() < 0.5) headers.push(`Content-Type: ${pick(random, TYPES)}`);
	if (random() < 0.3) headers.push(`X-API-KEY: ${attacker.apiKey}`);
	while (random() < 0.3) headers.push(pick(random, HEADERS));
	const bytes = requestBytes({
		method: random() < 0.8 ? pick(random, ["GET", "POST"]) : pick(random, METHODS),
		path: pick(random, GUEST_PATHS),
		headers,
		body: Buffer.from(pick(random, GUEST_BODIES)),
		promisedMore: promisedMore(random),
	});
	return attempt(random, random() < 0.2 ? damaged(random, bytes) : bytes);
}

function address(random: Random, id: string, port: string): string[] {
	return pick(random, [
		() => [`Host: ${port}-${id}.localhost`],
		() => [`Host: ${port}-${id}.localhost:8443`],
		() => [`Host: ${port}-${id}-6532622b.localhost`],
		() => [`Host: ${port}-${id}`],
		() => [`Host: ${id}.${port}.localhost`],
		() => [`Host: [::1]:${port}`, `E2b-Sandbox-Id: ${id}`],
		() => ["Host: localhost", `E2b-Sandbox-Id: ${id}`, `E2b-Sandbox-Port: ${port}`],
		() => ["Host: sandbox.localhost", `E2b-Sandbox-Id: ${id}`, `E2b-Sandbox-Port: ${port}`],
		() => ["Host: localhost", `E2b-Sandbox-Port: ${port}`],
		() => [`E2b-Sandbox-Id: ${id}`, `E2b-Sandbox-Port: ${port}`],
		() => ["Host: localhost", `E2b-Sandbox-Id: ${id}`, `E2b-Sandbox-Id: ${id}x`, `E2b-Sandbox-Port: ${port}`],
		() => ["Host: "],
	])();
}
