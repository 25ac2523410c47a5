/* inotify, one instance for each connection that asks for it: gone with the connection. */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

struct watch {
	struct source source;
	struct connection *connection;
};

/* Answer frame `n`: u32 descriptor, u32 mask, u32 cookie, name. */
static void send_event(struct connection *c, const struct inotify_event *event) {
	struct buffer b = {0};
	write_u32(&b, (uint32_t)event->wd);
	write_u32(&b, event->mask);
	write_u32(&b, event->cookie);
	write_bytes(&b, event->name, event->len == 0 ? 0 : strnlen(event->name, event->len));
	connection_send(c, 'n', b.data, b.end);
	buffer_free(&b);
}

static void ready(struct source *s, uint32_t events) {
	(void)events;
	struct watch *w = s->owner;
	_Alignas(struct inotify_event) char chunk[16 << 10];
	ssize_t n = read(s->fd, chunk, sizeof chunk);
	for (char *at = chunk; n > 0 && at < chunk + n;) {
		const struct inotify_event *event = (const struct inotify_event *)at;
		send_event(w->connection, event);
		at += sizeof *event + event->len;
	}
	watch_pump(w);
}

/* Takes events only while the connection has room: the kernel's queue is the bounded one. */
void watch_pump(struct watch *w) {
	source_interest(&w->source, buffer_length(&w->connection->out) < HIGH_WATER ? EPOLLIN : 0);
}

void watch_free(struct watch *w) {
	source_close(&w->source);
	free(w);
}

static bool open_watch(struct connection *c) {
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0) return false;
	struct watch *w = checked(calloc(1, sizeof *w));
	w->connection = c;
	source_open(&w->source, fd, ready, w);
	c->watch = w;
	watch_pump(w);
	return true;
}

/* u32 mask, path. Answer `w`: u32 errno, u32 descriptor. */
void watch_add(struct connection *c, struct reader *r) {
	uint32_t mask = read_u32(r);
	char *path = read_string(r);
	if (!r->failed) {
		bool open = c->watch != NULL || open_watch(c);
		int descriptor = open ? inotify_add_watch(c->watch->source.fd, path, mask) : -1;
		struct buffer b = {0};
		write_u32(&b, descriptor < 0 ? (uint32_t)errno : 0);
		write_u32(&b, descriptor < 0 ? 0 : (uint32_t)descriptor);
		connection_send(c, 'w', b.data, b.end);
		buffer_free(&b);
	}
	free(path);
}

/* u32 descriptor */
void watch_remove(struct connection *c, struct reader *r) {
	int descriptor = (int)read_u32(r);
	if (r->failed) return;
	int failed = c->watch == NULL || inotify_rm_watch(c->watch->source.fd, descriptor) != 0;
	connection_acknowledge(c, failed ? EINVAL : 0);
}
