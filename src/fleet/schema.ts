/**
 * Columns as the database holds them, in types that SQLite and Postgres share: times are RFC 3339 text in UTC with
 * milliseconds (so their order is the order of time), truth values 0 or 1, structured values JSON text.
 */
export interface TeamsTable {
	id: string;
	slug: string;
	name: string;
	created_at: string;
	max_sandboxes: number | null;
	max_timeout_seconds: number | null;
}

export interface ApiKeysTable {
	id: string;
	team_id: string;
	name: string;
	/** sha256 of the whole key, hexadecimal. */
	hash: string;
	prefix: string;
	value_length: number;
	masked_prefix: string;
	masked_suffix: string;
	created_at: string;
	first_used_at: string | null;
	last_used_at: string | null;
	/** A revoked key opens nothing; its row keeps it from being added again. */
	revoked_at: string | null;
}

export interface TemplatesTable {
	id: string;
	/** Null: the template belongs to the platform. */
	team_id: string | null;
	kind: string;
	public: number;
	source_sandbox_id: string | null;
	created_at: string;
	updated_at: string;
	deleted_at: string | null;
	spawn_count: number;
	last_spawned_at: string | null;
}

export interface AliasesTable {
	/** Slug of a team; empty for the platform's own names. */
	namespace: string;
	alias: string;
	template_id: string;
	created_at: string;
}

export interface BuildsTable {
	id: string;
	template_id: string | null;
	kind: string;
	status: string;
	cpu_count: number;
	memory_mb: number;
	disk_size_mb: number;
	envd_version: string;
	parent_build_id: string | null;
	source_sandbox_id: string | null;
	rootfs_id: string;
	size_bytes: number;
	memory: number;
	pause_ms: number;
	engine_version: string;
	envs: string;
	created_at: string;
	deleted_at: string | null;
}

export interface TagsTable {
	template_id: string;
	tag: string;
	build_id: string;
	created_at: string;
}

/** Every time that a tag was pointed at a build. */
export interface TagAssignmentsTable {
	id: string;
	template_id: string;
	tag: string;
	build_id: string;
	assigned_at: string;
}

export interface SandboxesTable {
	id: string;
	team_id: string;
	template_id: string;
	artifact_id: string;
	state: string;
	incarnation: number;
	operation_id: string | null;
	pending_artifact_id: string | null;
	pause_artifact_id: string | null;
	pause_mode: string | null;
	agent_unresponsive_at_pause: number;
	node_id: string;
	address: string | null;
	access_token: string | null;
	traffic_token: string | null;
	envd_version: string;
	cpu_count: number;
	memory_mb: number;
	disk_size_mb: number;
	envs: string;
	metadata: string;
	network: string | null;
	allow_internet_access: number | null;
	on_timeout: string;
	auto_pause_memory: number;
	auto_resume: number;
	timeout_seconds: number;
	created_at: string;
	started_at: string;
	end_at: string;
	ended_at: string | null;
	end_reason: string | null;
	revision: number;
}

/** Copy of every pair of a sandbox's metadata, so that filters are plain SQL. */
export interface SandboxMetadataTable {
	sandbox_id: string;
	key: string;
	value: string;
}

/** Requests that carried an idempotency key. */
export interface RepeatableRequestsTable {
	team_id: string;
	key: string;
	/** sha256 of what was asked for. */
	fingerprint: string;
	/** What the request makes if it succeeds: a sandbox's id or a build's. */
	result_id: string;
	created_at: string;
}

export interface SandboxLogsTable {
	sandbox_id: string;
	/** Grows with every entry of the sandbox. */
	seq: number;
	/** ms since the epoch */
	at_ms: number;
	level: string;
	logger: string;
	message: string;
}

export interface MeasuresTable {
	kind: string;
	subject_id: string;
	/** ms since the epoch */
	at_ms: number;
	/** Numbers by name, as JSON. */
	sample: string;
}

export interface Schema {
	teams: TeamsTable;
	api_keys: ApiKeysTable;
	templates: TemplatesTable;
	aliases: AliasesTable;
	builds: BuildsTable;
	tags: TagsTable;
	tag_assignments: TagAssignmentsTable;
	sandboxes: SandboxesTable;
	sandbox_metadata: SandboxMetadataTable;
	repeatable_requests: RepeatableRequestsTable;
	sandbox_logs: SandboxLogsTable;
	measures: MeasuresTable;
}
