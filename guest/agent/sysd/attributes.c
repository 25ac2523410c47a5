/* Extended attributes under one prefix, for many files in one request. */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static const char PREFIX[] = "user.e2b.";
enum { PREFIX_LENGTH = sizeof PREFIX - 1, MAX_NAMES = 64 << 10 };

static void write_attributes(struct buffer *b, const char *path) {
	static char names[MAX_NAMES], value[MAX_NAMES];
	ssize_t length = listxattr(path, names, sizeof names);
	for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
		if (strncmp(name, PREFIX, PREFIX_LENGTH) != 0) continue;
		ssize_t size = getxattr(path, name, value, sizeof value);
		if (size < 0) continue;
		write_u32(b, 1);
		write_bytes(b, name + PREFIX_LENGTH, strlen(name) - PREFIX_LENGTH);
		write_bytes(b, value, (size_t)size);
	}
	write_u32(b, 0);
}

/*
 * u32 count, paths. Answer `m`: for each path its attributes (u32 1, name without prefix, value) and u32 0 after the
 * last. A path that cannot be read has none.
 */
void attributes_get(struct connection *c, struct reader *r) {
	uint32_t count = read_u32(r);
	struct buffer b = {0};
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		char *path = read_string(r);
		if (!r->failed) write_attributes(&b, path);
		free(path);
	}
	if (!r->failed) connection_send(c, 'm', b.data, buffer_length(&b));
	buffer_free(&b);
}

static void clear(const char *path) {
	static char names[MAX_NAMES];
	ssize_t length = listxattr(path, names, sizeof names);
	for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1)
		if (strncmp(name, PREFIX, PREFIX_LENGTH) == 0) removexattr(path, name);
}

static int set(const char *path, const char *name, const uint8_t *value, size_t length) {
	char full[256];
	if ((size_t)snprintf(full, sizeof full, "%s%s", PREFIX, name) >= sizeof full) return ERANGE;
	return setxattr(path, full, value, length, 0) == 0 ? 0 : errno;
}

/* path, u32 count, names and values in turn: replaces all attributes under the prefix. */
void attributes_set(struct connection *c, struct reader *r) {
	char *path = read_string(r);
	uint32_t count = read_u32(r);
	int error = 0;
	if (!r->failed) clear(path);
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		char *name = read_string(r);
		size_t length;
		const uint8_t *value = read_bytes(r, &length);
		if (!r->failed && error == 0) error = set(path, name, value, length);
		free(name);
	}
	if (!r->failed) connection_acknowledge(c, error);
	free(path);
}
