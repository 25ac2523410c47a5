/**
 * The control plane over HTTP: takes requests apart, asks control, puts answers together. Decides nothing. Guarantees
 * that every answer with a body is JSON and that a request is authenticated before it is read.
 */
import { randomBytes } from "node:crypto";
import type { RequestListener } from "node:http";
import cors from "@fastify/cors";
import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import Fastify, { type FastifyBaseLogger, LogController } from "fastify";
import type { ApiContext, App } from "./app.ts";
import { authentication } from "./auth.ts";
import { acceptBodies, BODY_LIMIT_BYTES } from "./bodies.ts";
import { errorHandler, unknownRoute } from "./errors.ts";
import { healthRoutes } from "./resources/health.ts";
import { keyRoutes } from "./resources/keys.ts";
import { laterRoutes } from "./resources/later.ts";
import { lifecycleRoutes } from "./resources/lifecycle.ts";
import { logRoutes } from "./resources/logs.ts";
import { metricRoutes } from "./resources/metrics.ts";
import { networkRoutes } from "./resources/network.ts";
import { operatorRoutes } from "./resources/operator.ts";
import { sandboxRoutes } from "./resources/sandboxes.ts";
import { snapshotRoutes } from "./resources/snapshots.ts";
import { tagRoutes } from "./resources/tags.ts";
import { templateRoutes } from "./resources/templates.ts";
import { checkRequests } from "./validation.ts";

export interface ApiOptions extends ApiContext {
	readonly log: FastifyBaseLogger;
	/** Version of the server, for the OpenAPI document. */
	readonly version: string;
}

export interface Api {
	/** For the server that owns the port. */
	readonly handler: RequestListener;
	close(): Promise<void>;
}

const TRACE_HEADER = "x-e2b-trace-id";
const TRACE_BYTES = 16;
/** Longest path parameter: names of templates may have 128 characters, each of them encoded. */
const MAX_PARAM_LENGTH = 1_000;

export async function createApi(options: ApiOptions): Promise<Api> {
	const app: App = Fastify({
		loggerInstance: options.log,
		logController: new LogController({ disableRequestLogging: true }),
		genReqId: () => randomBytes(TRACE_BYTES).toString("hex"),
		bodyLimit: BODY_LIMIT_BYTES,
		routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
		frameworkErrors: (error, request, reply) => handleError(error, request, reply),
	}).withTypeProvider<TypeBoxTypeProvider>();
	const handleError = errorHandler(options.signal);

	app.decorateRequest("team", null);
	nameAnswers(app);
	app.setErrorHandler(handleError);
	app.setNotFoundHandler(unknownRoute);
	checkRequests(app);
	acceptBodies(app);
	await allowBrowsers(app);
	await documentRoutes(app, options.version);

	healthRoutes(app);
	app.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
	await app.register(async (guarded: App) => {
		guarded.addHook("onRequest", authentication(options));
		sandboxRoutes(guarded, options);
		lifecycleRoutes(guarded, options);
		networkRoutes(guarded, options);
		snapshotRoutes(guarded, options);
		templateRoutes(guarded, options);
		tagRoutes(guarded, options);
		keyRoutes(guarded, options);
		metricRoutes(guarded, options);
		logRoutes(guarded, options);
		laterRoutes(guarded);
	});
	await app.register(async (guarded: App) => operatorRoutes(guarded, options));

	await app.ready();
	return { handler: (req, res) => app.routing(req, res), close: () => app.close() };
}

/** Every answer says under which id the server's log has what went wrong with it. */
function nameAnswers(app: App): void {
	app.addHook("onRequest", async (request, reply) => {
		void reply.header(TRACE_HEADER, request.id);
	});
}

/** Pages on any origin may call: there are no cookies, the key is the only authority. */
async function allowBrowsers(app: App): Promise<void> {
	const metadata = ["browser", "lang", "lang_version", "package_version", "publisher", "sdk_runtime", "system"];
	await app.register(cors, {
		origin: "*",
		methods: ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
		allowedHeaders: ["X-API-Key", "Authorization", "Content-Type", "Idempotency-Key", "X-Team-ID", ...metadata],
		exposedHeaders: ["X-Next-Token", "X-Total-Running", "Retry-After", "Should-Retry", "X-E2B-Trace-ID"],
		maxAge: 3600,
		strictPreflight: false,
	});
}

async function documentRoutes(app: App, version: string): Promise<void> {
	await app.register(swagger, {
		openapi: {
			info: { title: "Offshoot", description: "Sandboxes that can be captured and multiplied while they run.", version },
			components: { securitySchemes: { apiKey: { type: "apiKey", in: "header", name: "X-API-Key" } } },
			security: [{ apiKey: [] }],
		},
	});
}
