#include "proxy/http/path.h"

#include "proxy/base/utf8.h"
#include "proxy/http/bytes.h"

/* A path on its way into the view. */
struct path_writer {
    char *out;
    size_t length, size;
    struct text in;         /* what is left to look at */
    size_t segment;         /* where the current segment begins in out */
    const char *segment_in; /* and in the input */
    const char *wrong;      /* why the path is ambiguous, as it reads behind "the path has"; NULL: it is not */
    const char *wrong_at;   /* the place in the input */
};

static bool path_put(struct path_writer *writer, const char *data, size_t n)
{
    if (n > writer->size - writer->length)
        return false;
    memcpy(writer->out + writer->length, data, n);
    writer->length += n;
    return true;
}

/* The first reason stays. */
static void path_doubt(struct path_writer *writer, const char *at, const char *wrong)
{
    if (writer->wrong)
        return;
    writer->wrong = wrong;
    writer->wrong_at = at;
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
        path_doubt(writer, writer->segment_in, "a \".\" or \"..\" segment, which requests are refused for");
    if (segment.length == 0 && (!last || semicolon))
        path_doubt(writer, writer->segment_in, "an empty segment, which requests are refused for");
}

/* What may not be escaped: it would be decoded to something that splits, ends or hides a segment; a '?' or '#' that a
 * server decodes before it looks for the query ends the path there. */
static bool path_escape_is_ambiguous(int byte)
{
    return byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\' || byte == '?' || byte == '#';
}

/* How many escapes at the start of s are one character; 0 when they are no well-formed UTF-8. Lax decoders make ASCII
 * of longer forms than there are (five and six bytes, too), or take what follows for the rest of an unfinished one. */
static size_t path_escaped_character(struct text s)
{
    unsigned char bytes[UTF8_MOST_BYTES];
    size_t n = 0;

    for (; n < sizeof(bytes) && s.length > 0 && s.data[0] == '%' && text_unescape(s) >= 0; s = text_skip(s, 3))
        bytes[n++] = (unsigned char)text_unescape(s);
    return utf8_length(bytes, n);
}

static bool path_put_byte_escaped(struct path_writer *writer, int byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char plain = (char)byte;

    if (byte_is(plain, BYTE_PLAIN))
        return path_put(writer, &plain, 1);
    return path_put(writer, (char[]){'%', digits[byte >> 4], digits[byte & 15]}, 3);
}

/* Takes the escapes of one character at the start of the input; *ret_used says how much that was. */
static bool path_put_escape(struct path_writer *writer, size_t *ret_used)
{
    int byte = text_unescape(writer->in);
    size_t n;

    if (byte < 0) {
        path_doubt(writer, writer->in.data, "\"%\" without two hexadecimal digits");
        *ret_used = 1;
        return path_put(writer, "%", 1);
    }
    n = path_escaped_character(writer->in);
    if (n == 0)
        path_doubt(writer, writer->in.data, "escapes that are no UTF-8, which requests are refused for");
    else if (path_escape_is_ambiguous(byte))
        path_doubt(writer, writer->in.data,
                   "an escape that requests are refused for (slash, backslash, question mark, number sign, control "
                   "character)");
    n = n > 0 ? n : 1;
    *ret_used = 3 * n;
    for (size_t i = 0; i < n; i++)
        if (!path_put_byte_escaped(writer, text_unescape(text_skip(writer->in, 3 * i))))
            return false;
    return true;
}

/* What is wrong with a byte that stands in a path as it is. */
static const char *path_why_not_plain(char c)
{
    if (c == '\\')
        return "a backslash, which requests are refused for";
    if ((unsigned char)c >= 0x80)
        return "a character outside ASCII; write its UTF-8 bytes percent-encoded";
    return c == '#' ? "a fragment; conditions see only the path"
                    : "white space or a control character; write it percent-encoded";
}

/* Takes the unescaped byte at the start of the input. */
static bool path_put_byte(struct path_writer *writer)
{
    char c = writer->in.data[0];

    if (c == '/') {
        path_end_segment(writer, false);
        writer->segment = writer->length + 1;
        writer->segment_in = writer->in.data + 1;
    } else if (!byte_is(c, BYTE_PLAIN)) {
        path_doubt(writer, writer->in.data, path_why_not_plain(c));
    }
    return path_put(writer, &c, 1);
}

/* Takes the whole input; false when the view does not fit. */
static bool path_put_all(struct path_writer *writer)
{
    writer->segment = 1;
    writer->segment_in = writer->in.data;
    if (writer->in.length > 0 && writer->in.data[0] == '/') {
        if (!path_put(writer, "/", 1))
            return false;
        writer->in = text_skip(writer->in, 1);
        writer->segment_in++;
    } else if (!text_equal(writer->in, TEXT_LITERAL("*"))) {
        path_doubt(writer, writer->in.data, "no \"/\" at its beginning");
        writer->segment = 0;
    }
    while (writer->in.length > 0) {
        size_t used = 1;

        if (writer->in.data[0] == '%' ? !path_put_escape(writer, &used) : !path_put_byte(writer))
            return false;
        writer->in = text_skip(writer->in, used);
    }
    path_end_segment(writer, true);
    return true;
}

enum path_verdict path_view(struct text origin, char *out, size_t size, size_t *ret_length)
{
    struct text query;
    struct path_writer writer = {.out = out, .size = size, .in = path_split(origin, &query)};

    if (writer.in.length == 0 && origin.length > 0)
        writer.in = TEXT_LITERAL("/");
    if (!path_put_all(&writer))
        return PATH_TOO_LONG;
    *ret_length = writer.length;
    return writer.wrong ? PATH_AMBIGUOUS : PATH_CLEAR;
}

/* The first byte that the view spells in another way begins an escape that is not needed, or is a digit of one. */
static const char *path_check_spelling(struct text path, struct path_writer *writer)
{
    size_t n = 0;

    while (n < path.length && n < writer->length && path.data[n] == writer->out[n])
        n++;
    if (n == path.length && n == writer->length)
        return NULL;
    writer->wrong_at = path.data + n;
    if (path.data[n] == '%')
        return "an escape of a character that stands for itself; write the character";
    while (*writer->wrong_at != '%')
        writer->wrong_at--;
    return "an escape in lower case; write hexadecimal digits in upper case";
}

const char *path_check(struct text path, char *scratch, size_t *ret_at)
{
    struct text query;
    struct path_writer writer = {.out = scratch, .size = path.length, .in = path_split(path, &query)};
    const char *wrong;

    if (path.length == 0 || path.data[0] != '/') {
        *ret_at = 0;
        return "no \"/\" at its beginning";
    }
    *ret_at = writer.in.length;
    if (query.data)
        return "a query; conditions see only the path";
    /* The view is never longer than what it is of. */
    wrong = path_put_all(&writer) && !writer.wrong ? path_check_spelling(path, &writer) : writer.wrong;
    if (wrong)
        *ret_at = (size_t)(writer.wrong_at - path.data);
    return wrong;
}

/* An escape of a plain character is that character in the view, every other byte stands for itself. */
size_t path_offset_of_view(struct text path, size_t offset)
{
    size_t at = 0;

    for (; offset > 0 && at < path.length; offset--) {
        int byte = path.data[at] == '%' ? text_unescape(text_skip(path, at)) : -1;

        at += byte >= 0 && byte_is((char)byte, BYTE_PLAIN) ? 3 : 1;
    }
    return at;
}

bool path_has_prefix(struct text path, struct text prefix)
{
    if (prefix.length == 0)
        return true;
    if (path.length < prefix.length || memcmp(path.data, prefix.data, prefix.length) != 0)
        return false;
    return path.length == prefix.length || prefix.data[prefix.length - 1] == '/' || path.data[prefix.length] == '/';
}
