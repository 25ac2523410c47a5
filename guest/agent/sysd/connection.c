/* Framing, and the table of requests. A connection that breaks the framing is closed. */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What the daemon wants back after a crash of its own; opaque here. */
static struct buffer kept;

static void connection_free(struct connection *c) {
	if (c->process != NULL) process_detach(c->process);
	if (c->watch != NULL) watch_free(c->watch);
	if (c->checkpoint != NULL) checkpoint_free(c->checkpoint);
	source_close(&c->socket);
	buffer_free(&c->in);
	buffer_free(&c->out);
	free(c);
}

static void update_interest(struct connection *c) {
	uint32_t events = EPOLLRDHUP;
	if (c->closing || (!c->busy && buffer_length(&c->out) < HIGH_WATER)) events |= EPOLLIN;
	if (buffer_length(&c->out) > 0) events |= EPOLLOUT;
	source_interest(&c->socket, events);
}

/* False: the peer is gone. */
static bool flush(struct connection *c) {
	ssize_t n = send(c->socket.fd, c->out.data + c->out.start, buffer_length(&c->out), MSG_NOSIGNAL);
	if (n < 0) return errno == EAGAIN || errno == EINTR;
	buffer_consume(&c->out, (size_t)n);
	return true;
}

/* Sent at once if nothing waits: to ask the loop first whether there is room costs a command 0.2 ms. */
void connection_send(struct connection *c, char type, const void *payload, size_t length) {
	uint8_t head[5] = {(uint8_t)type, length & 255, length >> 8 & 255, length >> 16 & 255, length >> 24 & 255};
	bool first = buffer_length(&c->out) == 0;
	buffer_append(&c->out, head, sizeof head);
	buffer_append(&c->out, payload, length);
	/* What a peer that is gone did not take stays, and so the loop finds that out. */
	if (first) flush(c);
	update_interest(c);
}

void connection_acknowledge(struct connection *c, int error) {
	uint8_t code[4] = {error & 255, error >> 8 & 255, 0, 0};
	connection_send(c, 'A', code, sizeof code);
}

/*
 * Closes our half once all is sent. The other half stays open, and what comes there is thrown away, until the peer closes
 * it: a peer that writes to a closed socket loses what it has not read yet, such as the end of a program.
 */
static void close_when_sent(struct connection *c) {
	if (c->closing && buffer_length(&c->out) == 0) shutdown(c->socket.fd, SHUT_WR);
}

void connection_finish(struct connection *c) {
	c->closing = true;
	close_when_sent(c);
}

static void set_hostname(struct connection *c, struct reader *r) {
	size_t length;
	const uint8_t *name = read_bytes(r, &length);
	if (r->failed) return;
	connection_acknowledge(c, sethostname((const char *)name, length) == 0 ? 0 : errno);
}

/* u64 ms since the epoch */
static void set_clock(struct connection *c, struct reader *r) {
	uint64_t ms = read_u64(r);
	if (r->failed) return;
	struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	connection_acknowledge(c, clock_settime(CLOCK_REALTIME, &time) == 0 ? 0 : errno);
}

static void keep(struct connection *c, const uint8_t *data, size_t length) {
	if (kept.data != NULL) explicit_bzero(kept.data, kept.capacity);
	buffer_free(&kept);
	buffer_append(&kept, data, length);
	connection_acknowledge(c, 0);
}

static bool dispatch(struct connection *c, char type, const uint8_t *payload, size_t length) {
	struct reader r = {.data = payload, .left = length};
	switch (type) {
	case 'S': process_spawn(c, &r); break;
	case 'T': process_attach(c, &r); break;
	case 'L': process_list(c); break;
	case 'K': process_signal(c, &r); break;
	case 'R': process_resize(c, &r); break;
	case 'I': process_input(c, payload, length); break;
	case 'C': process_close_input(c); break;
	case 'W': watch_add(c, &r); break;
	case 'U': watch_remove(c, &r); break;
	case 'Q': checkpoint_watch(c); break;
	case 'M': attributes_get(c, &r); break;
	case 'N': attributes_set(c, &r); break;
	case 'H': set_hostname(c, &r); break;
	case 'D': set_clock(c, &r); break;
	case 'B': keep(c, payload, length); break;
	case 'G': connection_send(c, 'b', kept.data + kept.start, buffer_length(&kept)); break;
	default: return false;
	}
	return !r.failed;
}

/* Handles the complete frames in the buffer. False: the peer broke the protocol. */
static bool handle_frames(struct connection *c) {
	while (!c->busy && !c->closing && buffer_length(&c->in) >= 5) {
		const uint8_t *head = c->in.data + c->in.start;
		size_t length = (size_t)head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 | (size_t)head[4] << 24;
		if (length > MAX_FRAME) return false;
		if (buffer_length(&c->in) < 5 + length) return true;
		if (!dispatch(c, (char)head[0], head + 5, length)) return false;
		buffer_consume(&c->in, 5 + length);
	}
	return true;
}

/* Returns false when the peer is gone. */
static bool receive(struct connection *c) {
	uint8_t chunk[CHUNK];
	ssize_t n = read(c->socket.fd, chunk, sizeof chunk);
	if (n < 0) return errno == EAGAIN || errno == EINTR;
	if (n == 0) return false;
	if (c->closing) return true;
	buffer_append(&c->in, chunk, (size_t)n);
	return true;
}

static void ready(struct source *s, uint32_t events) {
	struct connection *c = s->owner;
	bool alive = !(events & (EPOLLERR | EPOLLHUP));
	if (alive && (events & EPOLLOUT)) alive = flush(c);
	if (alive && (events & EPOLLIN)) alive = receive(c) && handle_frames(c);
	else if (events & EPOLLRDHUP) alive = false;
	if (!alive) {
		connection_free(c);
		return;
	}
	close_when_sent(c);
	if (c->process != NULL) process_pump(c->process);
	if (c->watch != NULL) watch_pump(c->watch);
	update_interest(c);
}

/* The frame that kept the connection busy is done. */
void connection_resume(struct connection *c) {
	c->busy = false;
	/* Called from another source's event: a broken peer is dropped at its next event, which this is, not here. */
	if (!handle_frames(c)) shutdown(c->socket.fd, SHUT_RDWR);
	update_interest(c);
}

static bool peer_is_owner(int fd) {
	struct ucred peer;
	socklen_t size = sizeof peer;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

void connection_accept(int listener) {
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) return;
	if (!peer_is_owner(fd)) {
		close(fd);
		return;
	}
	struct connection *c = checked(calloc(1, sizeof *c));
	source_open(&c->socket, fd, ready, c);
	update_interest(c);
}
