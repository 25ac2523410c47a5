/** Requests to the interpreter that nobody should send. None of them makes a new kernel, also not by chance. */

import { type Attempt, attempt, damaged, HTTP_HEADERS, promisedMore, requestBytes } from "../../../../tests/support/malformed.ts";
import { pick } from "../../../../tests/support/random.ts";

type Random = () => number;

/** Broken in two ways each, so that one damage more does not mend them. */
const EXECUTIONS = [
	"",
	"{}",
	"[",
	"null",
	'"code"',
	"0".repeat(1000),
	`${"[".repeat(2000)}${"]".repeat(2000)}`,
	'{"cod":"1"}',
	'{"code":1}',
	'{"code":null}',
	'{"code":["1"]}',
	'{"code":"1","context_id":"none"}',
	'{"code":"1","context_id":7}',
	'{"code":"1","context_id":"../default"}',
	'{"code":"1","context_id":"none","language":"python"}',
	'{"code":"1","language":"cobol"}',
	'{"code":"1","language":"__proto__"}',
	'{"code":"1","language":"../../bin/sh"}',
	'{"code":"1","language":{}}',
	'{"code":"1","env_vars":"A=1"}',
	'{"code":"1","env_vars":{"A":1}}',
	'{"code":"1","env_vars":{"":"1","A=B":"1"}}',
	'{"code":"1","env_vars":{"A":"\\u0000"}}',
	'{"code":"1","env_vars":["A"]}',
	`{"code":"1","env_vars":{"${"A".repeat(70_000)}":""}}`,
	// In order, but no program.
	'{"code":"\\u0000\\ud800)("}',
	'{"code":"\\u0000\\ud800)(","language":"js"}',
	'{"code":"if (","env_vars":{"A":"1"}}',
	`{"code":"${"(".repeat(5000)}"}`,
	'{"code":"let x: =","language":"typescript"}',
];

const CONTEXTS = [
	"[",
	"null",
	'{"language":7,"cwd":7}',
	'{"language":["cobol"],"cwd":{}}',
	'{"language":"cobol","cwd":"/none/at/all"}',
	'{"language":"__proto__","cwd":"\\u0000"}',
	`{"language":"${"x".repeat(9000)}","cwd":"../../.."}`,
];

const PATHS = [
	"/execute",
	"/execute",
	"/execute",
	"/execute?source=%00",
	"/execute/",
	"/contexts/none",
	"/contexts/none/restart",
	"/contexts/%2e%2e/restart",
	"/contexts//restart",
	"/contexts/../health",
	`/contexts/${"i".repeat(9000)}`,
	"/health",
	"/reseed",
	"/files?path=/etc/passwd",
	"/../../etc/passwd",
	"*",
	"//",
	"",
];

const HEADERS = [...HTTP_HEADERS, "Content-Type: text/plain", "Content-Encoding: gzip", `X-Long: ${"x".repeat(20_000)}`];

const METHODS = ["POST", "POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW", "post", ""];

export function malformedRequest(random: Random, token: string): Attempt {
	const headers = ["Connection: close", "Host: x"];
	const chance = random();
	if (chance < 0.9) headers.push(`X-Access-Token: ${token}`);
	else if (chance < 0.95) headers.push("X-Access-Token: wrong");
	while (random() < 0.3) headers.push(pick(random, HEADERS));
	const common = { headers, promisedMore: promisedMore(random) };
	if (random() < 0.1) {
		const body = Buffer.from(pick(random, CONTEXTS));
		return attempt(random, requestBytes({ method: "POST", path: "/contexts", body, ...common }));
	}
	const body = Buffer.from(pick(random, EXECUTIONS));
	const bytes = requestBytes({ method: pick(random, METHODS), path: pick(random, PATHS), body, ...common });
	return attempt(random, random() < 0.3 ? damaged(random, bytes) : bytes);
}
