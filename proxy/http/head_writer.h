/* Writes the lines of a message into a buffer of the caller's. Pure. */
#ifndef PORTHOLE_HTTP_HEAD_WRITER_H
#define PORTHOLE_HTTP_HEAD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/text.h"

/* Lines on their way out, into room that the caller gives. Once something did not fit, `full` stays and nothing more is
 * written. */
struct head_writer {
    char *out;
    size_t length, size;
    bool full;
};

static inline char *head_reserve(struct head_writer *writer, size_t n)
{
    if (n > writer->size - writer->length) {
        writer->full = true;
        writer->size = writer->length;
        return NULL;
    }
    writer->length += n;
    return writer->out + writer->length - n;
}

static inline void head_put(struct head_writer *writer, struct text s)
{
    char *at = head_reserve(writer, s.length);

    if (at && s.length > 0)
        memcpy(at, s.data, s.length);
}

static inline void head_put_field(struct head_writer *writer, struct text name, struct text value)
{
    char *at = head_reserve(writer, name.length + value.length + 4);

    if (!at)
        return;
    at = mempcpy(at, name.data, name.length);
    at = mempcpy(at, ": ", 2);
    if (value.length > 0)
        at = mempcpy(at, value.data, value.length);
    memcpy(at, "\r\n", 2);
}

static inline void head_put_number(struct head_writer *writer, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);

    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    head_put(writer, (struct text){digits + i, sizeof(digits) - i});
}

#define HEAD_PUT(writer, literal) head_put(writer, TEXT_LITERAL(literal))

#endif
