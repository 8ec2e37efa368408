#include "proxy/base/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void buffer_store_init(struct buffer_store *store, size_t size, size_t most_spare)
{
    *store = (struct buffer_store){.size = size, .most_spare = most_spare};
}

static void buffers_free(struct buffer *buffer)
{
    while (buffer) {
        struct buffer *next = buffer->next;

        free(buffer);
        buffer = next;
    }
}

void buffer_store_empty(struct buffer_store *store)
{
    buffers_free(store->spare);
    store->spare = NULL;
    store->n_spare = store->n_unused = 0;
}

/* Those that have been here longest are at the end. */
void buffer_store_rest(struct buffer_store *store)
{
    struct buffer **end = &store->spare;

    if (store->n_unused > 0) {
        store->n_spare -= store->n_unused;
        for (size_t i = 0; i < store->n_spare; i++)
            end = &(*end)->next;
        buffers_free(*end);
        *end = NULL;
    }
    store->n_unused = store->n_spare;
    store->n_most = store->n_taken;
}

void buffer_store_deinit(struct buffer_store *store)
{
    buffer_store_empty(store);
}

void buffer_store_grow(struct buffer_store *store, size_t size)
{
    if (size <= store->size)
        return;
    buffer_store_empty(store); /* the spare ones are too small */
    store->size = size;
    store->n_taken = 0;
}

static struct buffer *buffer_new(size_t size)
{
    struct buffer *buffer = malloc(sizeof(*buffer) + size);

    if (!buffer)
        return NULL;
    buffer->next = NULL;
    buffer->size = size;
    buffer->start = 0;
    buffer->end = 0;
    return buffer;
}

struct buffer *buffer_take_new(struct buffer_store *store)
{
    struct buffer *buffer = buffer_new(store->size);

    store->n_taken += buffer != NULL;
    if (store->n_taken > store->n_most)
        store->n_most = store->n_taken;
    return buffer;
}

struct buffer *buffer_take_sparing(struct buffer_store *store, size_t least_size)
{
    return store->n_taken < store->most_spare ? buffer_take(store) : buffer_new(least_size);
}

struct buffer *buffer_of(const char *data, size_t length)
{
    struct buffer *buffer = buffer_new(length);

    if (!buffer)
        return NULL;
    memcpy(buffer->data, data, length);
    buffer->end = length;
    return buffer;
}

struct buffer *buffer_widen(struct buffer_store *store, struct buffer *buffer)
{
    size_t length = buffer_length(buffer);
    struct buffer *wide;

    assert(length <= store->wide_size);
    wide = buffer_new(store->wide_size);
    if (!wide)
        return NULL;
    memcpy(wide->data, buffer->data + buffer->start, length);
    wide->end = length;
    buffer_give(store, buffer);
    return wide;
}

struct buffer *buffer_narrow(const struct buffer *buffer)
{
    struct buffer *narrow = buffer_of(buffer->data, buffer->end);

    if (narrow)
        narrow->start = buffer->start;
    return narrow;
}

void buffer_compact(struct buffer *buffer)
{
    size_t length = buffer_length(buffer);

    if (buffer->start == 0)
        return;
    memmove(buffer->data, buffer->data + buffer->start, length);
    buffer->start = 0;
    buffer->end = length;
}
