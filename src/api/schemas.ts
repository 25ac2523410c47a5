/** Shapes of requests and answers, as the wire has them. They validate, give the types, and are the OpenAPI document. */
import { type TSchema, Type } from "typebox";

/** Largest number of seconds that is read at all; what a team may really ask for is control's to say. */
const MAX_SECONDS = 2 ** 31 - 1;

export const Seconds = (options: { description: string; default?: number; minimum?: number; maximum?: number }) =>
	Type.Integer({ minimum: -MAX_SECONDS, maximum: MAX_SECONDS, ...options });

const Texts = Type.Record(Type.String(), Type.String());

/** Entries of a sandbox's metadata, pairs of a filter by it, and tags of one request: each is a value of a query. */
export const MAX_ENTRIES = 256;
const Metadata = Type.Record(Type.String(), Type.String(), { maxProperties: MAX_ENTRIES });
const Time = Type.String({ format: "date-time" });

export const ErrorAnswer = Type.Object({
	code: Type.Integer({ description: "equals the HTTP status" }),
	message: Type.String(),
	error_code: Type.Optional(Type.String()),
});

/** Answers of a route: its own by status, and the one form of all errors. */
export function answers<T extends Record<number, TSchema>>(own: T): T & { "4xx": typeof ErrorAnswer; "5xx": typeof ErrorAnswer } {
	return { ...own, "4xx": ErrorAnswer, "5xx": ErrorAnswer };
}

export const Nothing = Type.Null({ description: "no body" });

export const SandboxPath = Type.Object({ sandboxID: Type.String() });

const Network = Type.Object({
	allowPublicTraffic: Type.Optional(Type.Boolean({ description: "false: ports other than the agent's need the traffic token" })),
	allowOut: Type.Optional(Type.Array(Type.String())),
	denyOut: Type.Optional(Type.Array(Type.String())),
	maskRequestHost: Type.Optional(Type.String({ maxLength: 300 })),
	httpsPorts: Type.Optional(Type.Array(Type.Integer())),
});

const EgressProxy = Type.Object(
	{
		address: Type.String({ maxLength: 300, description: "host:port" }),
		username: Type.Optional(Type.String()),
		password: Type.Optional(Type.String({ description: "never shown again" })),
		tls: Type.Optional(Type.Unknown({ description: "not available: the proxy is spoken to in the clear" })),
	},
	{ description: "SOCKS5 proxy that carries what the sandbox sends out" },
);

const Rules = Type.Record(
	Type.String(),
	Type.Array(Type.Object({ transform: Type.Optional(Type.Object({ headers: Type.Optional(Texts) })) })),
	{ description: "by host name or wildcard: headers put into requests to it" },
);

export const NetworkUpdate = Type.Object(
	{
		allowOut: Type.Optional(Type.Array(Type.String())),
		denyOut: Type.Optional(Type.Array(Type.String())),
		egressProxy: Type.Optional(EgressProxy),
		rules: Type.Optional(Rules),
		allow_internet_access: Type.Optional(Type.Boolean()),
	},
	{ description: "what is missing is cleared" },
);

export const NewSandbox = Type.Object({
	templateID: Type.String({ minLength: 1, description: "id or name of a template, or id of a snapshot" }),
	timeout: Type.Optional(Seconds({ description: "seconds until the sandbox ends" })),
	autoPause: Type.Optional(Type.Boolean({ description: "pause instead of kill at the end" })),
	autoPauseMemory: Type.Optional(Type.Boolean({ description: "false: that pause keeps the files alone" })),
	autoResume: Type.Optional(Type.Object({ enabled: Type.Optional(Type.Boolean()) })),
	secure: Type.Optional(Type.Boolean()),
	allow_internet_access: Type.Optional(Type.Boolean()),
	network: Type.Optional(
		Type.Object({
			...Network.properties,
			egressProxy: Type.Optional(EgressProxy),
			rules: Type.Optional(Rules),
		}),
	),
	metadata: Type.Optional(Metadata),
	envVars: Type.Optional(Texts),
	mcp: Type.Optional(Type.Unknown()),
	iam: Type.Optional(Type.Unknown()),
	volumeMounts: Type.Optional(Type.Array(Type.Unknown())),
});

const VolumeMounts = Type.Array(Type.Object({ name: Type.String(), path: Type.String() }));

const Identity = {
	templateID: Type.String(),
	sandboxID: Type.String(),
	clientID: Type.String({ deprecated: true }),
	alias: Type.Optional(Type.String()),
	envdVersion: Type.String(),
};

const Size = { cpuCount: Type.Integer(), memoryMB: Type.Integer(), diskSizeMB: Type.Integer() };

const Life = {
	startedAt: Time,
	endAt: Time,
	state: Type.Union([Type.Literal("running"), Type.Literal("paused")]),
	metadata: Texts,
	volumeMounts: VolumeMounts,
	envdUnresponsiveAtPause: Type.Optional(
		Type.Boolean({ description: "true: paused while its agent did not answer; resumes with memory: false only" }),
	),
};

export const Sandbox = Type.Object({
	...Identity,
	envdAccessToken: Type.Optional(Type.String()),
	trafficAccessToken: Type.Union([Type.String(), Type.Null()]),
	domain: Type.String(),
});

export const SandboxDetail = Type.Object({
	...Identity,
	...Size,
	...Life,
	envdAccessToken: Type.Optional(Type.String()),
	domain: Type.String(),
	network: Type.Optional(
		Type.Object({
			...Network.properties,
			egressProxy: Type.Optional(Type.Omit(EgressProxy, ["password"])),
			rules: Type.Optional(Rules),
		}),
	),
	allowInternetAccess: Type.Union([Type.Boolean(), Type.Null()]),
	pauseMode: Type.Optional(Type.Union([Type.Literal("full"), Type.Literal("filesystem")])),
	lifecycle: Type.Object({
		onTimeout: Type.Union([Type.Literal("kill"), Type.Literal("pause")]),
		autoResume: Type.Boolean(),
	}),
});

export const ListedSandbox = Type.Object({ ...Identity, ...Size, ...Life });

export const ForkResult = Type.Object(
	{
		sandbox: Type.Optional(Sandbox),
		error: Type.Optional(Type.Object({ code: Type.Integer(), message: Type.String() })),
	},
	{ description: "exactly one of the two" },
);

export const Snapshot = Type.Object({
	snapshotID: Type.String(),
	names: Type.Array(Type.String()),
	createdAt: Time,
	templateID: Type.String(),
	sourceSandboxID: Type.Optional(Type.String()),
	parentSnapshotID: Type.Optional(Type.String()),
	sizeBytes: Type.Integer(),
	memory: Type.Boolean({ description: "false: it holds files alone" }),
	pauseMs: Type.Number({ description: "how long the source stood still" }),
	engineVersion: Type.String(),
});

const Repeatable = Type.Union([Type.String(), Type.Array(Type.String())]);

export const MetadataQuery = Type.Object({ metadata: Type.Optional(Repeatable) });

export const paging = {
	limit: Type.Integer({ minimum: 1, maximum: 100, default: 100 }),
	nextToken: Type.Optional(Type.String()),
};

export const SandboxesQuery = Type.Object({
	...paging,
	...MetadataQuery.properties,
	state: Type.Optional(Repeatable),
	order: Type.Union([Type.Literal("asc"), Type.Literal("desc")], { default: "desc" }),
	startedAfter: Type.Optional(Type.String()),
	template: Type.Optional(Type.String()),
});

export const SnapshotsQuery = Type.Object({
	...paging,
	sandboxID: Type.Optional(Type.String()),
	name: Type.Optional(Type.String()),
});
