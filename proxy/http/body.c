#include "proxy/http/body.h"

#include "proxy/http/bytes.h"

#define CHUNKED_MAX_LINE_BYTES 16384
#define CHUNKED_MAX_DIGITS 16

/*  SIZE -> EXTENSION_SPACE -> EXTENSION -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *  SIZE and EXTENSION_SPACE skip ahead where there is nothing of the kind. After a size of 0:
 *  SIZE_LF -> TRAILERS -> NAME -> VALUE -> VALUE_LF -> TRAILERS ... -> END_LF -> ENDED */
enum chunked_state {
    CHUNKED_SIZE,
    CHUNKED_EXTENSION_SPACE,
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_IN_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILERS, /* at the start of a line */
    CHUNKED_NAME,
    CHUNKED_VALUE,
    CHUNKED_VALUE_LF,
    CHUNKED_END_LF,
    CHUNKED_ENDED,
    CHUNKED_FAILED,
};

static enum chunked_state chunked_step_size(struct chunked *chunked, char c)
{
    int digit = byte_hex(c);

    if (digit >= 0) {
        if (chunked->n_digits == CHUNKED_MAX_DIGITS || chunked->remaining_bytes > INT64_MAX / 16)
            return CHUNKED_FAILED;
        chunked->n_digits++;
        chunked->remaining_bytes = chunked->remaining_bytes * 16 + (unsigned)digit;
        return CHUNKED_SIZE;
    }
    if (chunked->n_digits == 0)
        return CHUNKED_FAILED;
    switch (c) {
    case '\r':
        return CHUNKED_SIZE_LF;
    case ';':
        return CHUNKED_EXTENSION;
    case ' ':
    case '\t':
        return CHUNKED_EXTENSION_SPACE;
    default:
        return CHUNKED_FAILED;
    }
}

/* A byte that has no meaning for us; it must be of `class` and counts against the ceiling. */
static enum chunked_state chunked_skip(struct chunked *chunked, char c, enum byte_class class, enum chunked_state stay)
{
    if (!byte_is(c, class) || ++chunked->n_line_bytes > CHUNKED_MAX_LINE_BYTES)
        return CHUNKED_FAILED;
    return stay;
}

/* A byte of the trailer section's structure, which counts, too. */
static enum chunked_state chunked_pass(struct chunked *chunked, enum chunked_state next)
{
    return ++chunked->n_line_bytes > CHUNKED_MAX_LINE_BYTES ? CHUNKED_FAILED : next;
}

/* The LF that ends a chunk's first line. */
static enum chunked_state chunked_begin_data(struct chunked *chunked)
{
    chunked->n_digits = 0;
    chunked->n_line_bytes = 0;
    return chunked->remaining_bytes > 0 ? CHUNKED_IN_DATA : CHUNKED_TRAILERS;
}

/* Takes one byte outside of a chunk's data; returns where that leads. */
static enum chunked_state chunked_step(struct chunked *chunked, char c)
{
    switch ((enum chunked_state)chunked->state) {
    case CHUNKED_SIZE:
        return chunked_step_size(chunked, c);
    case CHUNKED_EXTENSION_SPACE:
        if (c == ';')
            return CHUNKED_EXTENSION;
        /* RFC 9112 7.1.1: white space only before an extension, not as padding of the size */
        return c == ' ' || c == '\t' ? chunked_skip(chunked, c, BYTE_VALUE, CHUNKED_EXTENSION_SPACE) : CHUNKED_FAILED;
    case CHUNKED_EXTENSION:
        return c == '\r' ? CHUNKED_SIZE_LF : chunked_skip(chunked, c, BYTE_VALUE, CHUNKED_EXTENSION);
    case CHUNKED_SIZE_LF:
        return c == '\n' ? chunked_begin_data(chunked) : CHUNKED_FAILED;
    case CHUNKED_DATA_CR:
        return c == '\r' ? CHUNKED_DATA_LF : CHUNKED_FAILED;
    case CHUNKED_DATA_LF:
        return c == '\n' ? CHUNKED_SIZE : CHUNKED_FAILED;
    case CHUNKED_TRAILERS:
        return c == '\r' ? chunked_pass(chunked, CHUNKED_END_LF) : chunked_skip(chunked, c, BYTE_TOKEN, CHUNKED_NAME);
    case CHUNKED_NAME:
        return c == ':' ? chunked_pass(chunked, CHUNKED_VALUE) : chunked_skip(chunked, c, BYTE_TOKEN, CHUNKED_NAME);
    case CHUNKED_VALUE:
        return c == '\r' ? chunked_pass(chunked, CHUNKED_VALUE_LF)
                         : chunked_skip(chunked, c, BYTE_VALUE, CHUNKED_VALUE);
    case CHUNKED_VALUE_LF:
        return c == '\n' ? chunked_pass(chunked, CHUNKED_TRAILERS) : CHUNKED_FAILED;
    case CHUNKED_END_LF:
        return c == '\n' ? chunked_pass(chunked, CHUNKED_ENDED) : CHUNKED_FAILED;
    case CHUNKED_IN_DATA:
    case CHUNKED_ENDED:
    case CHUNKED_FAILED:
        break;
    }
    return CHUNKED_FAILED;
}

static struct text chunked_take_data(struct chunked *chunked, struct text in)
{
    if (in.length > chunked->remaining_bytes)
        in.length = (size_t)chunked->remaining_bytes;
    chunked->remaining_bytes -= in.length;
    if (chunked->remaining_bytes == 0)
        chunked->state = CHUNKED_DATA_CR;
    return in;
}

/* The bytes of an extension or of a trailer's value, up to the one that needs a look. */
static size_t chunked_pass_over(struct chunked *chunked, struct text in)
{
    size_t n = 0, most = CHUNKED_MAX_LINE_BYTES - chunked->n_line_bytes;

    if (most > in.length)
        most = in.length;
    while (n < most && byte_is(in.data[n], BYTE_VALUE))
        n++;
    chunked->n_line_bytes += (uint32_t)n;
    return n;
}

/* Returns how many bytes belong to the trailer section; the state says whether that was its end, or a bad one. */
static size_t chunked_take_trailers(struct chunked *chunked, struct text in)
{
    size_t i = 0;

    while (i < in.length && chunked->state < CHUNKED_ENDED) {
        if (chunked->state == CHUNKED_VALUE)
            i += chunked_pass_over(chunked, text_skip(in, i));
        if (i < in.length)
            chunked->state = (unsigned char)chunked_step(chunked, in.data[i++]);
    }
    return i;
}

/* What lies between the data of two plain chunks, when all of it is there: CRLF (not before the first), one to four
 * digits, CRLF. Tiny chunks are little else. Returns its length with the next chunk's data begun, or 0: then it is
 * taken byte by byte. */
static size_t chunked_take_plain(struct chunked *chunked, struct text in)
{
    size_t i = chunked->state == CHUNKED_DATA_CR ? 2 : 0, digits = i;
    unsigned bytes = 0;
    int digit;

    if (in.length < i + 7 || (i > 0 && (in.data[0] != '\r' || in.data[1] != '\n')) || chunked->n_digits > 0)
        return 0;
    for (; i < digits + 4 && (digit = byte_hex(in.data[i])) >= 0; i++)
        bytes = bytes * 16 + (unsigned)digit;
    if (bytes == 0 || in.data[i] != '\r' || in.data[i + 1] != '\n')
        return 0;
    chunked->remaining_bytes = bytes;
    chunked->state = CHUNKED_IN_DATA;
    return i + 2;
}

enum chunked_result chunked_decode(struct chunked *chunked, struct text in, size_t *ret_used, struct text *ret_data)
{
    size_t i = 0;

    if (chunked->state == CHUNKED_DATA_CR || chunked->state == CHUNKED_SIZE)
        i = chunked_take_plain(chunked, in);
    while (i < in.length && chunked->state < CHUNKED_TRAILERS) {
        if (chunked->state == CHUNKED_IN_DATA) {
            *ret_data = chunked_take_data(chunked, text_skip(in, i));
            *ret_used = i + ret_data->length;
            return CHUNKED_DATA;
        }
        if (chunked->state == CHUNKED_EXTENSION)
            i += chunked_pass_over(chunked, text_skip(in, i));
        if (i < in.length)
            chunked->state = (unsigned char)chunked_step(chunked, in.data[i++]);
    }
    if (i < in.length && chunked->state < CHUNKED_ENDED) {
        size_t n = chunked_take_trailers(chunked, text_skip(in, i));

        if (chunked->state != CHUNKED_FAILED) {
            *ret_data = (struct text){in.data + i, n};
            *ret_used = i + n;
            return CHUNKED_TRAILER;
        }
    }
    if (chunked->state == CHUNKED_FAILED)
        return CHUNKED_BAD;
    *ret_used = i;
    return chunked->state == CHUNKED_ENDED ? CHUNKED_END : CHUNKED_MORE;
}

uint64_t chunked_data_to_come(const struct chunked *chunked)
{
    return chunked->state == CHUNKED_IN_DATA ? chunked->remaining_bytes : 0;
}

void chunked_skip_data(struct chunked *chunked, uint64_t n)
{
    chunked->remaining_bytes -= n;
    if (chunked->remaining_bytes == 0)
        chunked->state = CHUNKED_DATA_CR;
}

size_t chunk_write_head(char out[CHUNK_HEAD_BYTES], uint64_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 1;

    while (length < CHUNKED_MAX_DIGITS && n >> (4 * length))
        length++;
    for (size_t i = 0; i < length; i++)
        out[i] = digits[n >> (4 * (length - 1 - i)) & 15];
    out[length] = '\r';
    out[length + 1] = '\n';
    return length + 2;
}
