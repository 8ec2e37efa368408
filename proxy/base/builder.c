#include "proxy/base/builder.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096u

/* For n bytes more and a NUL. False when there is none. */
static bool builder_reserve(struct builder *builder, size_t n)
{
    if (builder->failed)
        return false;
    if (builder->size - builder->length <= n) {
        size_t size = builder->size > 0 ? builder->size : FIRST_BYTES;
        char *grown;

        while (size - builder->length <= n && size <= SIZE_MAX / 2)
            size *= 2;
        grown = realloc(builder->data, size);
        builder->failed = !grown;
        if (!grown)
            return false;
        builder->data = grown;
        builder->size = size;
    }
    return true;
}

void builder_add(struct builder *builder, const char *data, size_t length)
{
    if (!builder_reserve(builder, length) || length == 0)
        return;
    memcpy(builder->data + builder->length, data, length);
    builder->length += length;
}

void builder_repeat(struct builder *builder, size_t at, size_t length)
{
    if (builder_reserve(builder, length))
        builder_add(builder, builder->data + at, length);
}

char *builder_end(struct builder *builder, size_t *ret_length)
{
    char *data = NULL;

    *ret_length = 0;
    if (builder_reserve(builder, 0)) {
        data = builder->data;
        data[builder->length] = '\0';
        *ret_length = builder->length;
        builder->data = NULL;
    }
    builder_deinit(builder);
    return data;
}

void builder_deinit(struct builder *builder)
{
    free(builder->data);
    *builder = (struct builder){0};
}
