/* Fixed-size buffers from a free list: borrowed while an exchange needs one, hot in the cache for the next. */
#ifndef PORTHOLE_BASE_BUFFER_H
#define PORTHOLE_BASE_BUFFER_H

#include <stddef.h>
#include <stdlib.h>

/* Bytes waiting to be used: data[start .. end). Owned by whoever took it. */
struct buffer {
    struct buffer *next; /* in the free list */
    size_t size;         /* of data */
    size_t start, end;
    char data[];
};

/* Buffers of one size, for one thread. At most `most_spare` are kept. The size can only grow: what was taken before is
 * smaller, says so itself, and is freed when it is given back. */
struct buffer_store {
    struct buffer *spare;
    size_t n_spare, most_spare;
    size_t n_unused; /* spare ones that nobody has wanted since the last rest */
    size_t n_taken;  /* of this size, about */
    size_t n_most;   /* at once since the last rest, unless that was fewer than were spare then */
    size_t size;
    size_t wide_size; /* of what buffer_widen makes: the ceiling; 0 when nobody asks for it */
};

void buffer_store_init(struct buffer_store *store, size_t size, size_t most_spare);
void buffer_store_deinit(struct buffer_store *store);
/* The spare ones are given back. */
void buffer_store_empty(struct buffer_store *store);
/* From now on buffers have at least this size. */
void buffer_store_grow(struct buffer_store *store, size_t size);
/* For buffer_take, when there is no spare one. */
struct buffer *buffer_take_new(struct buffer_store *store);
/* An empty buffer, or NULL when out of memory. (Like the next no call: what it does is less than one.) */
static inline struct buffer *buffer_take(struct buffer_store *store)
{
    struct buffer *buffer = store->spare;

    if (!buffer)
        return buffer_take_new(store);
    store->n_taken++;
    store->spare = buffer->next;
    store->n_spare--;
    store->n_unused = store->n_spare < store->n_unused ? store->n_spare : store->n_unused;
    buffer->start = 0;
    buffer->end = 0;
    return buffer;
}
/* The same, or one of this size when as many are in use as are kept, for those who can do with less. */
struct buffer *buffer_take_sparing(struct buffer_store *store, size_t least_size);
/* One that holds this, and has room for nothing more. NULL when out of memory. */
struct buffer *buffer_of(const char *data, size_t length);
/* What lies in a full buffer, in one of the store's wide size; the first is given back. NULL when out of memory: then
 * nothing has changed. */
struct buffer *buffer_widen(struct buffer_store *store, struct buffer *buffer);
/* What a buffer has before its end, at the same offsets, in one that has room for nothing more; the first is the
 * caller's still. NULL when out of memory. */
struct buffer *buffer_narrow(const struct buffer *buffer);
/* Frees the spare ones that nobody has wanted since the last time: to be called every now and then. */
void buffer_store_rest(struct buffer_store *store);
/* Gives one back. Takes NULL. */
static inline void buffer_give(struct buffer_store *store, struct buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->size != store->size) {
        free(buffer);
        return;
    }
    store->n_taken -= store->n_taken > 0;
    if (store->n_spare >= store->most_spare) {
        free(buffer);
        return;
    }
    buffer->next = store->spare;
    store->spare = buffer;
    store->n_spare++;
}

static inline size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

static inline size_t buffer_room(const struct buffer *buffer)
{
    return buffer->size - buffer->end;
}

/* Moves what is there to the front, so that all the room is behind it. */
void buffer_compact(struct buffer *buffer);

#endif
