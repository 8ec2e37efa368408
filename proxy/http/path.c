#include "proxy/http/path.h"

#include "proxy/http/bytes.h"

/* A path on its way into the view. */
struct path_writer {
    char *out;
    size_t length, size;
    size_t segment; /* where the current segment begins in out */
    int previous;   /* the byte before this one when both are escaped, else -1 */
    bool ambiguous;
};

static bool path_put(struct path_writer *writer, const char *data, size_t n)
{
    if (n > writer->size - writer->length)
        return false;
    memcpy(writer->out + writer->length, data, n);
    writer->length += n;
    return true;
}

/* Looks at the finished segment. What follows a ';' is a parameter to some servers, which cut it off and only
 * then resolve dots and doubled slashes. */
static void path_end_segment(struct path_writer *writer, bool last)
{
    struct text segment = {writer->out + writer->segment, writer->length - writer->segment};
    const char *semicolon = segment.length ? memchr(segment.data, ';', segment.length) : NULL;

    if (semicolon)
        segment.length = (size_t)(semicolon - segment.data);
    if (text_equal(segment, TEXT_LITERAL(".")) || text_equal(segment, TEXT_LITERAL("..")))
        writer->ambiguous = true;
    if (segment.length == 0 && (!last || semicolon))
        writer->ambiguous = true;
}

/* A byte that may not be escaped, or not after this one: it would be decoded to something that splits, ends or
 * hides a segment. Longer spellings of ASCII than one byte in UTF-8 begin with C0, C1, E0 80..9F or F0 80..8F. */
static bool path_escape_is_ambiguous(int previous, int byte)
{
    if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\' || byte == 0xc0 || byte == 0xc1)
        return true;
    return (previous == 0xe0 && byte >= 0x80 && byte < 0xa0) || (previous == 0xf0 && byte >= 0x80 && byte < 0x90);
}

/* Takes the escape at the start of `in`; *ret_used says how much that was. */
static bool path_put_escape(struct path_writer *writer, struct text in, size_t *ret_used)
{
    static const char digits[] = "0123456789ABCDEF";
    int byte = text_unescape(in);
    char plain = (char)byte;

    if (byte < 0) {
        writer->ambiguous = true;
        *ret_used = 1;
        return path_put(writer, "%", 1);
    }
    if (path_escape_is_ambiguous(writer->previous, byte))
        writer->ambiguous = true;
    writer->previous = byte;
    *ret_used = 3;
    if (byte_is(plain, BYTE_PLAIN))
        return path_put(writer, &plain, 1);
    return path_put(writer, (char[]){'%', digits[byte >> 4], digits[byte & 15]}, 3);
}

/* Takes the unescaped byte c. */
static bool path_put_byte(struct path_writer *writer, char c)
{
    writer->previous = -1;
    if (c == '/') {
        path_end_segment(writer, false);
        writer->segment = writer->length + 1;
    } else if (!byte_is(c, BYTE_PLAIN)) {
        writer->ambiguous = true;
    }
    return path_put(writer, &c, 1);
}

static struct text path_without_query(struct text origin)
{
    const char *query = origin.length ? memchr(origin.data, '?', origin.length) : NULL;

    if (query)
        origin.length = (size_t)(query - origin.data);
    return origin;
}

enum path_verdict path_view(struct text origin, char *out, size_t size, size_t *ret_length)
{
    struct path_writer writer = {.out = out, .size = size, .segment = 1, .previous = -1};
    struct text path = path_without_query(origin);

    if (path.length == 0 && origin.length > 0)
        path = TEXT_LITERAL("/");
    if (path.length > 0 && path.data[0] == '/') {
        if (!path_put(&writer, "/", 1))
            return PATH_TOO_LONG;
        path = text_skip(path, 1);
    } else if (!text_equal(path, TEXT_LITERAL("*"))) {
        writer.ambiguous = true;
        writer.segment = 0;
    }
    while (path.length > 0) {
        size_t used = 1;

        if (path.data[0] == '%' ? !path_put_escape(&writer, path, &used) : !path_put_byte(&writer, path.data[0]))
            return PATH_TOO_LONG;
        path = text_skip(path, used);
    }
    path_end_segment(&writer, true);
    *ret_length = writer.length;
    return writer.ambiguous ? PATH_AMBIGUOUS : PATH_CLEAR;
}

bool path_has_prefix(struct text path, struct text prefix)
{
    if (prefix.length == 0)
        return true;
    if (path.length < prefix.length || memcmp(path.data, prefix.data, prefix.length) != 0)
        return false;
    return path.length == prefix.length || prefix.data[prefix.length - 1] == '/' || path.data[prefix.length] == '/';
}
