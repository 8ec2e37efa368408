/* Builder: text that is written piece by piece and grows with it. What does not fit into memory is remembered, so that
 * writers need not look after each piece. All zero: nothing is written yet. */
#ifndef PORTHOLE_BASE_BUILDER_H
#define PORTHOLE_BASE_BUILDER_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/error.h"

struct builder {
    char *data;    /* owned; NULL before the first piece */
    size_t length; /* may be made less */
    size_t size;
    bool failed; /* for want of memory, or in its owner's opinion: no piece is taken any more */
};

void builder_add(struct builder *builder, const char *data, size_t length);
/* `length` of its own bytes from `at` on, once more. */
void builder_repeat(struct builder *builder, size_t at, size_t length);
/* Ends it, and is empty then. The caller owns what is returned, which a NUL terminates that is not counted; NULL when
 * it has failed. */
char *builder_end(struct builder *builder, size_t *ret_length) WARN_UNUSED;
void builder_deinit(struct builder *builder);

#endif
