/*
 * sysd: what the sandbox daemon needs from the kernel and Node cannot give it.
 *
 *  - Starting programs from a small process: fork and exec from Node cost about 10 ms more in a sandbox. With user,
 *    supplementary groups and terminals.
 *  - Keeping those programs (and their pipes and terminals) alive when the daemon above crashes; it attaches again.
 *  - Raw inotify events, notice of checkpoints, extended attributes, host name, clock.
 *
 * One thread, one epoll loop. Clients speak frames over a unix socket that only the owner of this process may use:
 *
 *     u8 type, u32 length (little endian), payload
 *
 * The payloads are described beside their handlers; the peer is guest/agent/src/sysd/.
 */
#ifndef SYSD_H
#define SYSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	MAX_FRAME = 8 << 20,
	/* A connection with more than this waiting to be sent is not given new data: back-pressure. */
	HIGH_WATER = 64 << 10,
	CHUNK = 32 << 10,
	PTY_CHUNK = 16 << 10,
};

/* ---- buffers ---- */

struct buffer {
	uint8_t *data;
	size_t start, end, capacity;
};

size_t buffer_length(const struct buffer *b);
void buffer_append(struct buffer *b, const void *data, size_t length);
void buffer_consume(struct buffer *b, size_t length);
void buffer_free(struct buffer *b);

/* Reads a payload front to back. After a read past the end `failed` is set and every further read gives 0 or "". */
struct reader {
	const uint8_t *data;
	size_t left;
	bool failed;
};

uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* A u32 length and that many bytes; the pointer is into the payload. */
const uint8_t *read_bytes(struct reader *r, size_t *length);
/* The same as a NUL-terminated copy for the caller to free; a NUL inside fails the reader. */
char *read_string(struct reader *r);

void write_u32(struct buffer *b, uint32_t value);
void write_bytes(struct buffer *b, const void *data, size_t length);

/* ---- loop ---- */

/* A descriptor in the loop. `ready` may free any source, its own included: events are taken one at a time. */
struct source {
	int fd;
	uint32_t interest;
	void (*ready)(struct source *source, uint32_t events);
	void *owner;
};

void source_open(struct source *s, int fd, void (*ready)(struct source *, uint32_t), void *owner);
/* 0 takes the descriptor out of the loop, which also silences hang-ups. */
void source_interest(struct source *s, uint32_t events);
void source_close(struct source *s);

void *checked(void *allocated);

/* ---- connections ---- */

struct process;
struct watch;
struct checkpoint;

struct connection {
	struct source socket;
	struct buffer in, out;
	/* The process whose output goes to this connection. */
	struct process *process;
	struct watch *watch;
	struct checkpoint *checkpoint;
	/* While set, frames are left in the buffer: the one before is not done (input that the program does not take). */
	bool busy;
	/* Close as soon as all is sent. */
	bool closing;
};

void connection_accept(int listener);
void connection_send(struct connection *c, char type, const void *payload, size_t length);
/* Answer to a request that has no other: 0 or an errno. */
void connection_acknowledge(struct connection *c, int error);
void connection_resume(struct connection *c);
void connection_finish(struct connection *c);

/* ---- the jobs ---- */

void process_spawn(struct connection *c, struct reader *r);
void process_attach(struct connection *c, struct reader *r);
void process_list(struct connection *c);
void process_signal(struct connection *c, struct reader *r);
void process_resize(struct connection *c, struct reader *r);
void process_input(struct connection *c, const uint8_t *data, size_t length);
void process_close_input(struct connection *c);
/* The connection has room again, or is gone (`detach`). */
void process_pump(struct process *p);
void process_detach(struct process *p);
void process_reap(void);

/* Starts a program as the request says. Returns 0, or an errno with `stage` telling what failed. */
struct launch {
	uint32_t uid, gid;
	size_t group_count;
	uint32_t *groups;
	char *cwd, *program, **argv, **envp;
	/* -1: the one of this number that we have ourselves. */
	int standard[3];
	/* Path of the terminal to open as all three; NULL: use `standard`. */
	const char *terminal;
};
enum launch_stage { STAGE_RESOURCES, STAGE_CREDENTIALS, STAGE_CWD, STAGE_EXEC };
/* Programs started from now on are members of the cgroup whose cgroup.procs this is; without one they stay in ours. */
void launch_into(const char *path);
int launch(const struct launch *l, pid_t *pid, enum launch_stage *stage);

void watch_add(struct connection *c, struct reader *r);
void watch_remove(struct connection *c, struct reader *r);
void watch_pump(struct watch *w);
void watch_free(struct watch *w);

void checkpoint_watch(struct connection *c);
void checkpoint_free(struct checkpoint *p);

void attributes_get(struct connection *c, struct reader *r);
void attributes_set(struct connection *c, struct reader *r);

#endif
