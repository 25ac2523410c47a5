/*
 * Tells a connection of checkpoints. A read of gVisor's file blocks until the next checkpoint after its opening is done
 * and gives `resume` in the sandbox that went on, `restore` in one made from the image, `error` when it failed. The file
 * cannot be in an epoll set, so a process of its own reads it and passes the word on through a pipe.
 */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char FILE_PATH[] = "/proc/gvisor/checkpoint";

struct checkpoint {
	struct source source;
	struct connection *connection;
	pid_t reader;
};

static void ready(struct source *s, uint32_t events) {
	(void)events;
	struct checkpoint *p = s->owner;
	char text[64];
	ssize_t n = read(s->fd, text, sizeof text);
	if (n > 0) connection_send(p->connection, 'q', text, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR)) source_close(s);
}

/* Opens the file again before passing the word on, so that as little as possible can happen in between. */
static void read_forever(int given) {
	/* Our copies of connections would keep them open for their peers. */
	int pipe = dup2(given, 3);
	close_range(4, ~0U, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = open(FILE_PATH, O_RDONLY);
	while (fd >= 0) {
		char text[64];
		ssize_t n = read(fd, text, sizeof text);
		if (n < 0 && errno == EINTR) continue;
		close(fd);
		fd = open(FILE_PATH, O_RDONLY);
		if (n <= 0 || write(pipe, text, (size_t)n) != n) break;
	}
	_exit(1);
}

static int start_reader(struct checkpoint *p) {
	int ends[2];
	if (access(FILE_PATH, R_OK) != 0 || pipe2(ends, O_CLOEXEC) != 0) return errno;
	p->reader = fork();
	if (p->reader == 0) read_forever(ends[1]);
	int error = p->reader < 0 ? errno : 0;
	close(ends[1]);
	if (error != 0) {
		close(ends[0]);
		return error;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	source_open(&p->source, ends[0], ready, p);
	source_interest(&p->source, EPOLLIN);
	return 0;
}

/* Acknowledged with 0 when frames `q` with the file's text will follow, else with the errno. */
void checkpoint_watch(struct connection *c) {
	if (c->checkpoint != NULL) {
		connection_acknowledge(c, EALREADY);
		return;
	}
	struct checkpoint *p = checked(calloc(1, sizeof *p));
	p->connection = c;
	int error = start_reader(p);
	if (error == 0) c->checkpoint = p;
	else free(p);
	connection_acknowledge(c, error);
}

void checkpoint_free(struct checkpoint *p) {
	source_close(&p->source);
	kill(p->reader, SIGKILL);
	free(p);
}
