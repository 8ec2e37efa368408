/* A view of bytes that somebody else owns. Not terminated. */
#ifndef PORTHOLE_BASE_TEXT_H
#define PORTHOLE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *data; /* borrowed; may be NULL when length is 0 */
    size_t length;
};

#define TEXT_LITERAL(s) ((struct text){(s), sizeof(s) - 1})

static inline struct text text_of(const char *terminated)
{
    return (struct text){terminated, terminated ? strlen(terminated) : 0};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* ASCII case-insensitive. */
static inline bool text_equal_nocase(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || strncasecmp(a.data, b.data, a.length) == 0);
}

#endif
