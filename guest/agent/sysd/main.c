/*
 * sysd SOCKET [MEMBERS]: serves until it is killed. MEMBERS is the cgroup.procs of the group that programs belong to;
 * where there is none they stay in sysd's own.
 */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections that wait for us: one for each program of a burst. More would be refused to the daemon. gVisor's largest. */
enum { BACKLOG = 1024 };

static int loop;

void source_open(struct source *s, int fd, void (*ready)(struct source *, uint32_t), void *owner) {
	*s = (struct source){.fd = fd, .ready = ready, .owner = owner};
}

void source_interest(struct source *s, uint32_t events) {
	if (s->fd < 0 || s->interest == events) return;
	int operation = events == 0 ? EPOLL_CTL_DEL : s->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	struct epoll_event event = {.events = events, .data.ptr = s};
	if (epoll_ctl(loop, operation, s->fd, &event) != 0) abort();
	s->interest = events;
}

void source_close(struct source *s) {
	if (s->fd < 0) return;
	source_interest(s, 0);
	close(s->fd);
	s->fd = -1;
}

static void die(const char *what) {
	fprintf(stderr, "sysd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) die("socket path is too long");
	strcpy(address.sun_path, path);
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t before = umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) die(path);
	umask(before);
	return fd;
}

static void client_waits(struct source *s, uint32_t events) {
	(void)events;
	connection_accept(s->fd);
}

static void child_ended(struct source *s, uint32_t events) {
	(void)events;
	struct signalfd_siginfo info;
	if (read(s->fd, &info, sizeof info) > 0) process_reap();
}

/* Blocked, not ignored: then a new program has only its mask to set back. */
static sigset_t block(int number) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, number);
	signal(number, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

static int child_signals(void) {
	sigset_t set = block(SIGCHLD);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/*
 * Programs must inherit nothing from whoever started us, but descriptor 0: what a program without input reads. And
 * 1 and 2 must be taken: a pipe that got one of them would be overwritten in the child.
 */
static void clean_descriptors(void) {
	close_range(3, ~0U, 0);
	close(0);
	int fd = open("/dev/null", O_RDONLY);
	if (fd != 0) die("/dev/null");
	fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2) fd = dup(fd);
	if (fd > 2) close(fd);
}

int main(int argc, char **argv) {
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: sysd SOCKET [MEMBERS]\n");
		return 2;
	}
	clean_descriptors();
	block(SIGPIPE);
	/* That of every program. */
	umask(022);
	if (argc == 3) launch_into(argv[2]);
	loop = epoll_create1(EPOLL_CLOEXEC);
	if (loop < 0) die("epoll");
	struct source listener, children;
	source_open(&children, child_signals(), child_ended, NULL);
	source_open(&listener, listen_at(argv[1]), client_waits, NULL);
	source_interest(&children, EPOLLIN);
	source_interest(&listener, EPOLLIN);
	for (;;) {
		/* One at a time, because a handler may free what another event of the same batch points to. */
		struct epoll_event event;
		if (epoll_wait(loop, &event, 1, -1) != 1) continue;
		struct source *s = event.data.ptr;
		s->ready(s, event.events);
	}
}
