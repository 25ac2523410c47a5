/*
 * Programs, their pipes and terminals. Output goes to the one connection that spawned or attached to the program, as
 * fast as that connection takes it; without a connection it stays in the pipe. A program is forgotten only after a
 * connection has been told how it ended.
 */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
	FLAG_PTY = 1,
	FLAG_NO_STDIN = 2,
	LINGER_MS = 50,
	/* More than a full pipe or terminal takes; others may fill it as fast as we empty it. */
	LAST_READS = 32,
};

struct process {
	struct process *next;
	pid_t pid;
	bool pty;
	/* For a terminal, `out` is its master and `in` the same descriptor, duplicated. */
	struct source in, out, err;
	/* Runs from the end of a terminal's leader. */
	struct source linger;
	/* Input not yet taken by the program. */
	struct buffer input;
	struct connection *connection;
	/* Opaque to us: the daemon's own description, given back in a listing. */
	struct buffer description;
	bool exited;
	int status;
	/* Its end is told without waiting for others that still hold its pipes: after SIGKILL and SIGTERM, and for a
	   terminal LINGER_MS after its leader has gone. */
	bool cancelled;
	/* Reads of `out` and `err` since it exited that way. */
	int out_reads, err_reads;
	/* SIGKILL was asked for: its end does not wait for room either, what has none is dropped. */
	bool killed;
};

static struct process *processes;

static struct process *find(pid_t pid) {
	struct process *p = processes;
	while (p != NULL && p->pid != pid) p = p->next;
	return p;
}

static void process_free(struct process *p) {
	struct process **link = &processes;
	while (*link != p) link = &(*link)->next;
	*link = p->next;
	source_close(&p->in);
	source_close(&p->out);
	source_close(&p->err);
	source_close(&p->linger);
	buffer_free(&p->input);
	buffer_free(&p->description);
	free(p);
}

static void send_exit(struct process *p) {
	struct buffer b = {0};
	write_u32(&b, WIFEXITED(p->status) ? (uint32_t)WEXITSTATUS(p->status) : 0);
	write_u32(&b, WIFSIGNALED(p->status) ? (uint32_t)WTERMSIG(p->status) : 0);
	write_u32(&b, WIFSIGNALED(p->status) && WCOREDUMP(p->status));
	struct connection *c = p->connection;
	/* From now on the connection may ask for another program. */
	c->process = NULL;
	connection_send(c, 'X', b.data, b.end);
	buffer_free(&b);
	process_free(p);
}

/* Reads once. False: nothing there now. */
static bool relay(struct process *p, struct source *s) {
	uint8_t chunk[CHUNK];
	ssize_t n = read(s->fd, chunk, p->pty ? PTY_CHUNK : CHUNK);
	if (n > 0) {
		connection_send(p->connection, p->pty ? 't' : s == &p->out ? 'o' : 'e', chunk, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR) return true;
	if (n < 0 && errno == EAGAIN) return false;
	/* End of file; a terminal says EIO when its last user has gone. */
	source_close(s);
	return false;
}

static bool has_room(struct process *p) {
	return p->connection != NULL && buffer_length(&p->connection->out) < HIGH_WATER;
}

/* False: there may be more, for which there is no room. */
static bool relay_rest(struct process *p, struct source *s, int *reads) {
	for (; s->fd >= 0 && *reads < LAST_READS; ++*reads) {
		if (!has_room(p)) return false;
		if (!relay(p, s)) return true;
	}
	return true;
}

/* Moves what is there, then tells the end if nothing more can come. */
void process_pump(struct process *p) {
	bool room = has_room(p);
	if (p->out.fd >= 0) source_interest(&p->out, room ? EPOLLIN : 0);
	if (p->err.fd >= 0) source_interest(&p->err, room ? EPOLLIN : 0);
	if (!p->exited || p->connection == NULL) return;
	if (!room && !p->killed) return;
	if (p->cancelled) {
		bool done = relay_rest(p, &p->out, &p->out_reads) && relay_rest(p, &p->err, &p->err_reads);
		if (!done && !p->killed) return;
	} else if (p->out.fd >= 0 || p->err.fd >= 0) return;
	send_exit(p);
}

static void output_ready(struct source *s, uint32_t events) {
	(void)events;
	struct process *p = s->owner;
	if (has_room(p)) relay(p, s);
	process_pump(p);
}

void process_detach(struct process *p) {
	p->connection = NULL;
	process_pump(p);
}

static void lingered(struct source *s, uint32_t events) {
	(void)events;
	struct process *p = s->owner;
	source_close(s);
	p->cancelled = true;
	process_pump(p);
}

static void linger(struct process *p) {
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct itimerspec time = {.it_value.tv_nsec = LINGER_MS * 1000000L};
	if (fd < 0 || timerfd_settime(fd, 0, &time, NULL) != 0) {
		p->cancelled = true;
		if (fd >= 0) close(fd);
		return;
	}
	source_open(&p->linger, fd, lingered, p);
	source_interest(&p->linger, EPOLLIN);
}

void process_reap(void) {
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct process *p = find(pid);
		if (p == NULL) continue;
		p->exited = true;
		p->status = status;
		if (p->pty && p->out.fd >= 0) linger(p);
		process_pump(p);
	}
}

/* ---- input ---- */

/* Writes what the program takes now. False: some is left. */
static bool write_input(struct process *p) {
	ssize_t n = write(p->in.fd, p->input.data + p->input.start, buffer_length(&p->input));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) n = 0;
	int error = n < 0 ? errno : 0;
	if (n >= 0) buffer_consume(&p->input, (size_t)n);
	if (error == 0 && buffer_length(&p->input) > 0) {
		source_interest(&p->in, EPOLLOUT);
		return false;
	}
	buffer_free(&p->input);
	if (error != 0) source_close(&p->in);
	else source_interest(&p->in, 0);
	if (p->connection != NULL) connection_acknowledge(p->connection, error);
	return true;
}

static void input_ready(struct source *s, uint32_t events) {
	(void)events;
	struct process *p = s->owner;
	if (write_input(p) && p->connection != NULL) connection_resume(p->connection);
}

/* The payload is the input. Acknowledged when the program's pipe has taken all of it. */
void process_input(struct connection *c, const uint8_t *data, size_t length) {
	struct process *p = c->process;
	if (p == NULL || p->in.fd < 0) {
		connection_acknowledge(c, EPIPE);
		return;
	}
	buffer_append(&p->input, data, length);
	c->busy = length > 0 && !write_input(p);
	if (length == 0) connection_acknowledge(c, 0);
}

void process_close_input(struct connection *c) {
	if (c->process != NULL && !c->process->pty) source_close(&c->process->in);
	connection_acknowledge(c, 0);
}

/* ---- starting ---- */

static char **read_strings(struct reader *r) {
	uint32_t count = read_u32(r);
	/* Each string takes at least its length's four bytes, which bounds the count. */
	if (count > r->left / 4) {
		r->failed = true;
		count = 0;
	}
	char **list = checked(calloc((size_t)count + 1, sizeof *list));
	for (uint32_t i = 0; i < count; i++) list[i] = read_string(r);
	return list;
}

static void free_strings(char **list) {
	for (char **p = list; *p != NULL; p++) free(*p);
	free(list);
}

static uint32_t *read_groups(struct reader *r, size_t *count) {
	*count = read_u32(r);
	if (*count > r->left / 4) {
		r->failed = true;
		*count = 0;
	}
	uint32_t *groups = checked(calloc(*count + 1, sizeof *groups));
	for (size_t i = 0; i < *count; i++) groups[i] = read_u32(r);
	return groups;
}

/* Our ends of the pipes, by the program's descriptor; -1 where there is none. */
struct plumbing {
	int ours[3];
	char terminal[64];
};

static bool make_pipes(struct plumbing *pipes, struct launch *l, bool with_stdin) {
	for (int i = 0; i < 3; i++) {
		if (i == 0 && !with_stdin) continue;
		int ends[2];
		if (pipe2(ends, O_CLOEXEC) != 0) return false;
		l->standard[i] = ends[i == 0 ? 0 : 1];
		pipes->ours[i] = ends[i == 0 ? 1 : 0];
		fcntl(pipes->ours[i], F_SETFL, O_NONBLOCK);
		/* So that the program may open /dev/stdout and its like also as another user than root. */
		if (fchown(l->standard[i], l->uid, l->gid) != 0) continue;
	}
	return true;
}

static bool make_terminal(struct plumbing *pipes, struct launch *l, uint32_t columns, uint32_t rows) {
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (master < 0) return false;
	pipes->ours[1] = master;
	pipes->ours[0] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
	if (pipes->ours[0] < 0 || unlockpt(master) != 0) return false;
	if (ptsname_r(master, pipes->terminal, sizeof pipes->terminal) != 0) return false;
	if (ioctl(master, TIOCSWINSZ, &size) != 0) return false;
	struct termios settings;
	if (tcgetattr(master, &settings) == 0) {
		settings.c_iflag |= IUTF8;
		tcsetattr(master, TCSANOW, &settings);
	}
	/* Some kernels keep terminals as root's; the program works all the same. */
	if (chown(pipes->terminal, l->uid, l->gid) == 0) chmod(pipes->terminal, 0620);
	l->terminal = pipes->terminal;
	return true;
}

static void close_all(int fds[3]) {
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0) close(fds[i]);
}

static void send_failure(struct connection *c, enum launch_stage stage, int error) {
	struct buffer b = {0};
	write_u32(&b, (uint32_t)stage);
	write_u32(&b, (uint32_t)error);
	connection_send(c, 'E', b.data, b.end);
	connection_finish(c);
	buffer_free(&b);
}

static void send_pid(struct connection *c, pid_t pid) {
	uint32_t number = (uint32_t)pid;
	uint8_t bytes[4] = {number & 255, number >> 8 & 255, number >> 16 & 255, number >> 24};
	connection_send(c, 'P', bytes, sizeof bytes);
}

static void adopt(struct connection *c, pid_t pid, const int ours[3], bool pty, const uint8_t *description, size_t length) {
	struct process *p = checked(calloc(1, sizeof *p));
	p->pid = pid;
	p->pty = pty;
	source_open(&p->in, ours[0], input_ready, p);
	source_open(&p->out, ours[1], output_ready, p);
	source_open(&p->err, ours[2], output_ready, p);
	buffer_append(&p->description, description, length);
	p->linger.fd = -1;
	p->connection = c;
	c->process = p;
	p->next = processes;
	processes = p;
	send_pid(c, pid);
	process_pump(p);
}

/*
 * u32 flags, u32 columns, u32 rows, u32 uid, u32 gid, groups, cwd, program, arguments, environment, description
 * (lists: u32 count, elements; strings and bytes: u32 length, bytes). Answer: P with the pid, or E with stage and errno.
 */
void process_spawn(struct connection *c, struct reader *r) {
	uint32_t flags = read_u32(r), columns = read_u32(r), rows = read_u32(r);
	struct launch l = {.standard = {-1, -1, -1}};
	l.uid = read_u32(r);
	l.gid = read_u32(r);
	l.groups = read_groups(r, &l.group_count);
	l.cwd = read_string(r);
	l.program = read_string(r);
	l.argv = read_strings(r);
	l.envp = read_strings(r);
	size_t length;
	const uint8_t *description = read_bytes(r, &length);
	/* One program at a time for one connection. */
	if (c->process != NULL) r->failed = true;
	if (!r->failed) {
		struct plumbing pipes = {.ours = {-1, -1, -1}};
		bool pty = (flags & FLAG_PTY) != 0;
		bool ok = pty ? make_terminal(&pipes, &l, columns, rows) : make_pipes(&pipes, &l, !(flags & FLAG_NO_STDIN));
		enum launch_stage stage = STAGE_RESOURCES;
		pid_t pid = -1;
		int error = ok ? launch(&l, &pid, &stage) : errno;
		if (error == 0) adopt(c, pid, pipes.ours, pty, description, length);
		else {
			close_all(pipes.ours);
			send_failure(c, stage, error);
		}
		close_all(l.standard);
	}
	free(l.groups);
	free(l.cwd);
	free(l.program);
	free_strings(l.argv);
	free_strings(l.envp);
}

/* u32 pid. Answer as to a spawn; an earlier connection of that program is cut off. */
void process_attach(struct connection *c, struct reader *r) {
	struct process *p = find((pid_t)read_u32(r));
	if (p == NULL || c->process != NULL) {
		send_failure(c, STAGE_RESOURCES, ESRCH);
		return;
	}
	if (p->connection != NULL) {
		p->connection->process = NULL;
		connection_finish(p->connection);
	}
	p->connection = c;
	c->process = p;
	/* Input of the former connection, whose acknowledgement nobody waits for. */
	if (buffer_length(&p->input) > 0) {
		buffer_free(&p->input);
		source_interest(&p->in, 0);
	}
	send_pid(c, p->pid);
	process_pump(p);
}

/* Answer: a frame `l` for each program (u32 pid, description), then the acknowledgement. */
void process_list(struct connection *c) {
	for (struct process *p = processes; p != NULL; p = p->next) {
		struct buffer b = {0};
		write_u32(&b, (uint32_t)p->pid);
		write_bytes(&b, p->description.data, buffer_length(&p->description));
		connection_send(c, 'l', b.data, b.end);
		buffer_free(&b);
	}
	connection_acknowledge(c, 0);
}

/* u32 pid, u32 signal */
void process_signal(struct connection *c, struct reader *r) {
	struct process *p = find((pid_t)read_u32(r));
	int number = (int)read_u32(r);
	if (r->failed) return;
	/* A program that was reaped keeps its entry until its end is told, but its pid may be another's by now. */
	if (p == NULL || (p->exited && !(number == SIGKILL || number == SIGTERM))) {
		connection_acknowledge(c, ESRCH);
		return;
	}
	int error = !p->exited && kill(p->pid, number) != 0 ? errno : 0;
	if (error == 0 && (number == SIGKILL || number == SIGTERM)) p->cancelled = true;
	if (error == 0 && number == SIGKILL) p->killed = true;
	connection_acknowledge(c, error);
	if (p->exited) process_pump(p);
}

/* u32 pid, u32 columns, u32 rows */
void process_resize(struct connection *c, struct reader *r) {
	struct process *p = find((pid_t)read_u32(r));
	struct winsize size = {.ws_col = (unsigned short)read_u32(r)};
	size.ws_row = (unsigned short)read_u32(r);
	if (r->failed) return;
	if (p == NULL || !p->pty || p->out.fd < 0) connection_acknowledge(c, ENOTTY);
	else connection_acknowledge(c, ioctl(p->out.fd, TIOCSWINSZ, &size) == 0 ? 0 : errno);
}
