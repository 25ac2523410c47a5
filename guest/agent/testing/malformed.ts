/**
 * Requests to the daemon that nobody should send. Two kinds: those that are broken at random and at most touch the
 * playground, and those that aim at the canary in a way that the protocol refuses or resolves to another place.
 */
import { gzipSync } from "node:zlib";
import {
	type Attempt,
	attempt,
	damaged,
	envelope,
	HTTP_HEADERS,
	NOT_HTTP,
	promisedMore,
	type RequestParts,
	requestBytes,
} from "../../../tests/support/malformed.ts";
import { pick } from "../../../tests/support/random.ts";
import { signature } from "../src/auth.ts";

type Random = () => number;

/** As the daemon sees them. The first is inside of the default user's home. */
export const PLAYGROUND = "/root/play";
export const CANARY = "/canary";

/** Without CreateWatcher: what it makes by chance is meant to stay. */
const RPC = [
	"/process.Process/Start",
	"/process.Process/Connect",
	"/process.Process/StreamInput",
	"/process.Process/SendInput",
	"/process.Process/SendSignal",
	"/process.Process/CloseStdin",
	"/process.Process/Update",
	"/process.Process/List",
	"/process.Process/None",
	"/process.Process",
	"/filesystem.Filesystem/Stat",
	"/filesystem.Filesystem/ListDir",
	"/filesystem.Filesystem/MakeDir",
	"/filesystem.Filesystem/Move",
	"/filesystem.Filesystem/Remove",
	"/filesystem.Filesystem/WatchDir",
	"/filesystem.Filesystem/GetWatcherEvents",
	"/filesystem.Filesystem/RemoveWatcher",
];

const REST = [
	`/files?path=${PLAYGROUND}/a`,
	`/files?path=${PLAYGROUND}/b/../c//./d`,
	"/files?path=play/relative",
	"/files?path=~/play/home",
	`/files?path=${PLAYGROUND}/${"x".repeat(300)}`,
	`/files?path=${PLAYGROUND}${"/y".repeat(3000)}`,
	"/files?path=/nonexistent/x/../y",
	"/files?path=/proc/self/maps",
	"/files?path=/dev/null",
	"/files?path=%00",
	"/files?path=%ff%fe&signature=x&signature_expiration=y",
	"/files?path=%",
	"/files",
	"/files/",
	"/files/compose",
	"/files/../health",
	"/health",
	"/metrics",
	"/envs?%",
	"/init",
	"/freeze",
	"/%66iles?path=play/x",
	"//",
	"*",
	"/../../etc/passwd",
	"http://elsewhere/files?path=play/absolute",
	`/${"z".repeat(9000)}`,
	"",
];

const TYPES = [
	"application/json",
	"application/json; charset=utf-16",
	"application/connect+json",
	"application/proto",
	"application/connect+proto",
	"application/grpc",
	"application/grpc-web+json",
	"application/octet-stream",
	"multipart/form-data; boundary=b",
	"multipart/form-data; boundary=",
	"multipart/form-data",
	`multipart/form-data; boundary=${"b".repeat(300)}`,
	"text/plain",
	"/",
	"",
];

const PART = 'Content-Disposition: form-data; name="file"; filename=';
const NEST = 2000;

const MESSAGES = [
	"",
	"{}",
	"[",
	"null",
	'"x"',
	"0".repeat(1000),
	`${"[".repeat(NEST)}${"]".repeat(NEST)}`,
	'{"path":"play/../play/none"}',
	'{"path":"\\u0000"}',
	'{"path":"\\ud800"}',
	'{"path":7,"depth":-1}',
	'{"path":"/proc/self/none","depth":4294967296}',
	'{"path":"play","depth":1e3,"recursive":"yes","includeEntry":1}',
	'{"path":{"path":{"path":[]}}}',
	`{"path":"play/${"n".repeat(5000)}"}`,
	`{"source":"play/a","destination":"play/${"../play/".repeat(50)}z"}`,
	'{"source":"play","destination":"play/inside/itself"}',
	'{"watcherId":"none"}',
	'{"watcherId":["none"]}',
	'{"process":null}',
	'{"process":{}}',
	'{"process":{"cmd":"/none","args":[null]}}',
	'{"process":{"cmd":"/none","args":"text"}}',
	'{"process":{"cmd":"/none","envs":{"A":1}}}',
	'{"process":{"cmd":"/none","envs":{"A=B":"","":"x"}}}',
	'{"process":{"cmd":"a\\u0000b"}}',
	'{"process":{"cmd":"/none","cwd":"~x"},"pty":{"size":{"cols":-1}}}',
	'{"process":{"cmd":"/bin/true","cwd":"play/none"},"stdin":"no"}',
	'{"process":{"cmd":"/bin/true"},"pty":{"size":{"cols":4294967295,"rows":0}},"tag":"\\u0000"}',
	'{"process":{"cmd":"/bin/true"},"stdin":false}',
	'{"process":{"pid":-1},"input":{"stdin":"???"}}',
	'{"process":{"pid":1,"tag":"x"}}',
	'{"process":{"pid":1},"pty":{"size":{}}}',
	'{"process":{"tag":"none"},"signal":"SIGNAL_NOPE"}',
	'{"process":{"tag":"none"},"signal":99,"input":{"pty":"AA==","stdin":"AA=="}}',
	'{"start":{"process":{"pid":1}}}',
	'{"data":{"input":{"stdin":"AA=="}}}',
	'{"source_paths":["/none"],"destination":"/none/x"}',
	'{"source_paths":[],"destination":"play/x"}',
	'{"source_paths":["play","play"],"destination":"play"}',
	'{"source_paths":"play/a","destination":7,"username":{}}',
].map((text) => Buffer.from(text));

const GZIP = gzipSync(Buffer.alloc(100_000, "bomb"));

const FORMS = [
	`--b\r\n${PART}""\r\n\r\nx\r\n--b--\r\n`,
	`--b\r\n${PART}"play/form"\r\n\r\nwithout an end`,
	`--b\r\n${PART}"play/form"\r\n\r\nx\r\n--b`,
	`--b\r\n${PART}"play/a\0b"\r\n\r\nx`,
	`--b\r\n${PART}"play/twice"\r\n\r\n1\r\n--b\r\n${PART}"./play/twice"\r\n\r\n2\r\n--b--\r\n`,
	`--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n`,
	`--b\r\n${"X-Part: y\r\n".repeat(3000)}\r\nx\r\n--b--\r\n`,
	`--b\r\n${"--b\r\n".repeat(200)}`,
	`--b\r\n${PART}"${"play/".repeat(2000)}"\r\n\r\nx\r\n--b--\r\n`,
	"--b--",
	"\r\n".repeat(500),
].map((text) => Buffer.from(text, "latin1"));

const ENVELOPES = [
	envelope(0, "{}"),
	envelope(0, '{"path":"play/none"}'),
	envelope(0, '{"process":{"cmd":"/none"}}'),
	envelope(0, "{}", 0x7f7f7f7f),
	envelope(0, "{}", 0xffffffff),
	envelope(0, "{}", 1),
	envelope(1, "{}"),
	envelope(1, GZIP),
	envelope(2, "{}"),
	envelope(255, "{}"),
	Buffer.concat([envelope(0, "{}"), envelope(0, "{}")]),
	Buffer.concat([envelope(2, "{}"), envelope(0, "[")]),
	Buffer.concat([envelope(0, '{"start":{"process":{"pid":1}}}'), envelope(0, '{"data":{}}')]),
	Buffer.alloc(5),
	Buffer.alloc(3),
];

const CHUNKED = [
	Buffer.from("2\r\n{}\r\n0\r\n\r\n"),
	Buffer.from("ffffffffffffffff\r\n{}"),
	Buffer.from("-1\r\n{}\r\n0\r\n\r\n"),
	Buffer.from("2\r\n{}"),
	Buffer.from("2;x=\u0001\r\n{}\r\n0\r\nTrailer: \r\n\r\n"),
];

const BODIES = [MESSAGES, MESSAGES, FORMS, ENVELOPES, CHUNKED, [GZIP, GZIP.subarray(0, 50), Buffer.alloc(20_000)]];

const HEADERS = [
	...HTTP_HEADERS,
	"Content-Encoding: gzip",
	"Content-Encoding: br",
	"Content-Encoding: gzip, gzip",
	"Connect-Content-Encoding: gzip",
	"Connect-Accept-Encoding: x",
	"Connect-Timeout-Ms: -5",
	"Connect-Timeout-Ms: 1",
	"Connect-Timeout-Ms: 99999999999999999999",
	"Connect-Protocol-Version: 9",
	"Keepalive-Ping-Interval: 1e99",
	"Authorization: Basic !!!!",
	"Authorization: Basic AA==",
	"Authorization: Basic bm9ib2R5OTk6",
	`Authorization: Basic ${"A".repeat(5000)}`,
	"Accept-Encoding: ;q=,,gzip;q=x",
	"Accept-Encoding: identity;q=0",
	"Range: bytes=9-1,x",
	"Range: bytes=0-0,1-1,2-2,99999999999999999999-",
	"If-None-Match: ,",
	"If-Modified-Since: never",
	'If-Range: "',
	"X-Metadata-: v",
	"X-Metadata-K: \u00ff",
	`X-Metadata-Long: ${"v".repeat(4500)}`,
	`X-Metadata-${"k".repeat(300)}: v`,
	`X-Long: ${"x".repeat(20_000)}`,
	"Origin: null",
	"X-Access-Token: ",
];

const METHODS = ["POST", "POST", "POST", "POST", "GET", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "post", ""];

/** A request that is broken at random. It may be in order by chance; then it touches the playground only. */
export function brokenRequest(random: Random, token: string): Attempt {
	if (random() < 0.03) return attempt(random, pick(random, NOT_HTTP));
	const headers = ["Connection: close"];
	if (random() < 0.95) headers.push("Host: x");
	if (random() < 0.95) headers.push(`X-Access-Token: ${token}`);
	if (random() < 0.95) headers.push(`Content-Type: ${pick(random, TYPES)}`);
	while (random() < 0.4) headers.push(pick(random, HEADERS));
	const path = pick(random, random() < 0.6 ? RPC : REST);
	const body = pick(random, pick(random, BODIES));
	const bytes = requestBytes({ method: pick(random, METHODS), path, headers, body, promisedMore: promisedMore(random) });
	return attempt(random, random() < 0.3 ? damaged(random, bytes) : bytes);
}

type Aim = Pick<RequestParts, "path"> & Partial<Omit<RequestParts, "path">>;

/** A request that names the canary, and after which nothing of it may have changed. */
export function requestAtCanary(random: Random, token: string): Attempt {
	const withToken = [`X-Access-Token: ${token}`];
	const { method = "POST", path, headers = withToken, body = Buffer.from("dead") } = pick(random, aims(token));
	const common = ["Host: x", "Connection: close", ...headers];
	return attempt(random, requestBytes({ method, path, headers: common, body, promisedMore: 0 }));
}

const OCTETS = "Content-Type: application/octet-stream";
const JSON_TYPE = "Content-Type: application/json";

function aims(token: string): readonly Aim[] {
	const file = `${CANARY}/file`;
	const trusted = `X-Access-Token: ${token}`;
	return [
		...withoutToken(token, file),
		...disguised(file).map((path) => ({ path: `/files?path=${path}`, headers: [trusted, OCTETS] })),
		{ path: `/files?path=play/own&path=${file}`, headers: [trusted, OCTETS] },
		{ path: `/files?path=${file}&username=nobody99`, headers: [trusted, OCTETS] },
		...["text/plain", "application/json", "multipart/form-data", ""].map((type) => ({
			path: `/files?path=${file}`,
			headers: [trusted, `Content-Type: ${type}`],
		})),
		...["br", "gzip, br", "zstd"].map((coding) => ({
			path: `/files?path=${file}`,
			headers: [trusted, OCTETS, `Content-Encoding: ${coding}`],
		})),
		{ path: `/files?path=${file}`, headers: [trusted, OCTETS, `X-Metadata-K: ${"v".repeat(5000)}`] },
		{ path: `/files?path=${file}`, headers: [trusted, OCTETS, "X-Metadata-K: \u00ff"] },
		...["PUT", "PATCH", "DELETE", "HEAD"].map((method) => ({ method, path: `/files?path=${file}`, headers: [trusted, OCTETS] })),
		...canaryForms(file).map((form) => ({ ...form, headers: [trusted, "Content-Type: multipart/form-data; boundary=b"] })),
		...canaryCompositions(file).map((json) => ({
			path: "/files/compose",
			headers: [trusted, JSON_TYPE],
			body: Buffer.from(json),
		})),
		...canaryCalls(file).map(([call, json]) => ({
			path: `/filesystem.Filesystem/${call}`,
			headers: [trusted, JSON_TYPE],
			body: Buffer.from(json),
		})),
		{
			method: "GET",
			path: `/filesystem.Filesystem/Remove?connect=v1&encoding=json&message=${encodeURIComponent(`{"path":"${file}"}`)}`,
		},
	];
}

/** Access refused: signatures for another path, another operation, another user, or of yesterday. */
function withoutToken(token: string, file: string): Aim[] {
	const signed = (operation: string, fields: Record<string, string>) => signature(token, operation, new URLSearchParams(fields));
	const query = (fields: Record<string, string>) => ({ path: `/files?${new URLSearchParams(fields)}`, headers: [OCTETS] });
	const past = { path: file, signature_expiration: "1000" };
	return [
		{ path: `/files?path=${file}`, headers: [OCTETS] },
		{ path: `/files?path=${file}`, headers: [OCTETS, `X-Access-Token: ${token}x`] },
		query({ path: file, signature: signed("read", { path: file }) }),
		query({ path: file, signature: signed("write", { path: "play/own" }) }),
		query({ path: file, signature: signed("write", { path: file, username: "root" }) }),
		query({ path: file, signature: signed("write", { path: file, signature_expiration: "9999999999" }) }),
		query({ ...past, signature: signed("write", past) }),
		query({ path: file, signature: `${signed("write", { path: file })}=` }),
		{ path: "/filesystem.Filesystem/Remove", headers: [JSON_TYPE], body: Buffer.from(`{"path":"${file}"}`) },
		{
			path: "/filesystem.Filesystem/Move",
			headers: [JSON_TYPE],
			body: Buffer.from(`{"source":"${file}","destination":"play/own"}`),
		},
		{ path: "/files/compose", headers: [JSON_TYPE], body: Buffer.from(`{"source_paths":["${file}"],"destination":"play/own"}`) },
	];
}

/** Values of `path` that a careless reader would take for the canary. */
function disguised(file: string): string[] {
	return [
		`${file}%00`,
		`${file}%00.txt`,
		`~canary/file`,
		`~root/..${file}`,
		`..%5C..%5Ccanary%5Cfile`,
		`%252e%252e${encodeURIComponent(encodeURIComponent(file))}`,
		`.../..${file}`,
		`play${file}`,
		`${file}/`.replaceAll("/", "%E2%88%95"),
	];
}

function canaryForms(file: string): Aim[] {
	const form = (path: string, body: string) => ({ path, body: Buffer.from(`--b\r\n${body}\r\n--b--\r\n`) });
	return [
		form("/files?path=play/own", `${PART}"${file}"\r\n\r\nx`),
		form("/files", `Content-Disposition: form-data; name="other"; filename="${file}"\r\n\r\nx`),
		form("/files", `${PART}"${file}\0.txt"\r\n\r\nx`),
		form("/files", `${PART}"play/own"; name="file"; x="${file}"\r\n\r\nx`),
		form("/files", `Content-Type: ${file}\r\n\r\n${file}`),
		{ path: "/files", body: Buffer.from(`--c\r\n${PART}"${file}"\r\n\r\nx\r\n--c--\r\n`) },
		{ path: "/files", body: Buffer.from(`${PART}"${file}"\r\n\r\nx`) },
	];
}

/** Sources are removed only when all of them were joined. */
function canaryCompositions(file: string): string[] {
	return [
		`{"source_paths":["${file}","/none"],"destination":"play/own"}`,
		`{"source_paths":["${file}"],"destination":"${file}"}`,
		`{"source_paths":["${file}"],"destination":""}`,
		`{"source_paths":["${file}"],"destination":["play/own"]}`,
		`{"source_paths":["${file}"],"destination":"/proc/none"}`,
		`{"source_paths":["${CANARY}"],"destination":"play/own"}`,
		`{"source_paths":["${file}"],"destination":"play/own","username":"nobody99"}`,
		`{"source_paths":["${file}"],"destination":"play/own"`,
	];
}

function canaryCalls(file: string): [call: string, json: string][] {
	return [
		["Remove", `{"path":"${file}\\u0000"}`],
		["Remove", `{"path":["${file}"]}`],
		["Remove", `{"path":"~canary"}`],
		["Remove", `{"path":"${file}"`],
		["Remove", `{"path":"${file}","path":7}`],
		["Remove", `{"path":"${CANARY}/file/x"}`],
		["MakeDir", `{"path":"${CANARY}"}`],
		["MakeDir", `{"path":"${file}"}`],
		["MakeDir", `{"path":"${file}/under"}`],
		["Move", `{"source":"${file}","destination":"/proc/none"}`],
		["Move", `{"source":"${file}","destination":"play/\\u0000"}`],
		["Move", `{"source":"${CANARY}","destination":"${CANARY}/dir/inside"}`],
		["Move", `{"source":"/none","destination":"${file}"}`],
		["Stat", `{"path":"${file}"}`],
		["ListDir", `{"path":"${CANARY}","depth":4294967295}`],
		["CreateWatcher", `{"path":"${file}"}`],
		["CreateWatcher", `{"path":"${CANARY}","recursive":"yes"}`],
		["CreateWatcher", `{"path":"${CANARY}\\u0000"}`],
		["GetWatcherEvents", `{"watcherId":"${file}"}`],
	];
}
