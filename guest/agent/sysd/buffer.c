#include "sysd.h"

#include <stdlib.h>
#include <string.h>

void *checked(void *allocated) {
	/* Without memory there is nothing sensible left to do; the supervisor starts a new sysd. */
	if (allocated == NULL) abort();
	return allocated;
}

size_t buffer_length(const struct buffer *b) { return b->end - b->start; }

void buffer_append(struct buffer *b, const void *data, size_t length) {
	if (length == 0) return;
	if (b->end + length > b->capacity && b->start > 0) {
		memmove(b->data, b->data + b->start, buffer_length(b));
		b->end -= b->start;
		b->start = 0;
	}
	if (b->end + length > b->capacity) {
		size_t capacity = b->capacity == 0 ? 4096 : b->capacity;
		while (capacity < b->end + length) capacity *= 2;
		b->data = checked(realloc(b->data, capacity));
		b->capacity = capacity;
	}
	memcpy(b->data + b->end, data, length);
	b->end += length;
}

void buffer_consume(struct buffer *b, size_t length) {
	b->start += length;
	if (b->start < b->end) return;
	/* Idle connections keep no large buffer: it would be in every memory image. */
	if (b->capacity > HIGH_WATER) buffer_free(b);
	b->start = b->end = 0;
}

void buffer_free(struct buffer *b) {
	free(b->data);
	memset(b, 0, sizeof *b);
}

static const uint8_t *take(struct reader *r, size_t length) {
	if (r->failed || length > r->left) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *data = r->data;
	r->data += length;
	r->left -= length;
	return data;
}

uint32_t read_u32(struct reader *r) {
	const uint8_t *d = take(r, 4);
	if (d == NULL) return 0;
	return (uint32_t)d[0] | (uint32_t)d[1] << 8 | (uint32_t)d[2] << 16 | (uint32_t)d[3] << 24;
}

uint64_t read_u64(struct reader *r) {
	uint64_t low = read_u32(r);
	return low | (uint64_t)read_u32(r) << 32;
}

const uint8_t *read_bytes(struct reader *r, size_t *length) {
	*length = read_u32(r);
	const uint8_t *data = take(r, *length);
	if (data == NULL) *length = 0;
	return data;
}

char *read_string(struct reader *r) {
	size_t length;
	const uint8_t *data = read_bytes(r, &length);
	if (data != NULL && memchr(data, 0, length) != NULL) r->failed = true;
	char *copy = checked(malloc(length + 1));
	if (length > 0) memcpy(copy, data, length);
	copy[length] = 0;
	return copy;
}

void write_u32(struct buffer *b, uint32_t value) {
	uint8_t d[4] = {value & 255, value >> 8 & 255, value >> 16 & 255, value >> 24};
	buffer_append(b, d, 4);
}

void write_bytes(struct buffer *b, const void *data, size_t length) {
	write_u32(b, (uint32_t)length);
	buffer_append(b, data, length);
}
