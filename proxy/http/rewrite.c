#include "proxy/http/rewrite.h"

#include "proxy/http/bytes.h"
#include "proxy/http/path.h"

/* A path in both spellings. */
struct rewrite_path {
    struct text written; /* by the client, without the query */
    struct text seen;    /* by matching */
};

/* What the client wrote for a part of what matching sees. */
static struct text rewrite_written(const struct rewrite_path *path, struct text part)
{
    size_t from = (size_t)(part.data - path->seen.data);
    size_t begin = path_offset_of_view(path->written, from);
    size_t end = path_offset_of_view(path->written, from + part.length);

    return (struct text){path->written.data + begin, end - begin};
}

static struct text rewrite_without_slash(const char *prefix)
{
    struct text text = text_of(prefix);

    text.length -= text.length > 0 && text.data[text.length - 1] == '/';
    return text;
}

static enum rewrite_verdict rewrite_prefixes(const struct rewrite *rewrite, const struct rewrite_path *path,
                                             struct head_writer *writer)
{
    struct text strip = rewrite_without_slash(rewrite->strip_prefix), add = rewrite_without_slash(rewrite->add_prefix);
    struct text rest;

    if (rewrite->strip_prefix && !path_has_prefix(path->seen, text_of(rewrite->strip_prefix)))
        return REWRITE_NOT;
    rest = text_skip(path->seen, strip.length);
    head_put(writer, add);
    if (add.length == 0 && rest.length == 0)
        HEAD_PUT(writer, "/");
    head_put(writer, rewrite_written(path, rest));
    return REWRITE_DONE;
}

static enum rewrite_verdict rewrite_by_pattern(const struct rewrite *rewrite, const struct rewrite_path *path,
                                               struct pattern_memory *patterns, struct head_writer *writer)
{
    switch (pattern_match(rewrite->regex, path->seen, patterns)) {
    case PATTERN_FITS:
        break;
    case PATTERN_DOES_NOT:
        return REWRITE_NOT;
    case PATTERN_UNDECIDED:
        return REWRITE_UNDECIDED;
    }
    for (const char *at = rewrite->to; *at;) {
        size_t length = strcspn(at, "$");
        struct text group;

        head_put(writer, (struct text){at, length});
        at += length;
        if (*at == '\0')
            break;
        if (at[1] == '$') {
            HEAD_PUT(writer, "$");
        } else {
            group = pattern_group(patterns, path->seen, (unsigned)(at[1] - '0'));
            if (group.length > 0)
                head_put(writer, rewrite_written(path, group));
        }
        at += 2;
    }
    return REWRITE_DONE;
}

/* What has been written from `from` on is judged as a request is. */
static enum rewrite_verdict rewrite_judge(const struct head_writer *writer, size_t from,
                                          const struct rewrite_room *room)
{
    struct text made = {writer->out + from, writer->length - from};
    size_t length;

    if (writer->full || made.length > room->scratch_bytes)
        return REWRITE_FULL;
    /* A "?" would make a query of the rest. */
    if (!made.data || text_span(made, BYTE_TARGET) != made.length || memchr(made.data, '?', made.length))
        return REWRITE_AMBIGUOUS;
    if (path_view(made, room->scratch, room->scratch_bytes, &length) != PATH_CLEAR || room->scratch[0] != '/')
        return REWRITE_AMBIGUOUS;
    return REWRITE_DONE;
}

enum rewrite_verdict rewrite_apply(const struct rewrite *rewrite, struct text origin, const struct rewrite_room *room,
                                   struct head_writer *writer)
{
    struct text query;
    struct rewrite_path path = {.written = path_split(origin, &query), .seen = {room->scratch, 0}};
    size_t from = writer->length;
    enum rewrite_verdict verdict;

    if (text_equal(path.written, TEXT_LITERAL("*")))
        return REWRITE_NOT;
    if (path.written.length == 0 && query.data) /* "?QUERY" is "/?QUERY" */
        path.written = TEXT_LITERAL("/");
    switch (path_view(path.written, room->scratch, room->scratch_bytes, &path.seen.length)) {
    case PATH_CLEAR:
        break;
    case PATH_AMBIGUOUS:
        return REWRITE_AMBIGUOUS;
    case PATH_TOO_LONG:
        return REWRITE_FULL;
    }
    verdict = rewrite->regex ? rewrite_by_pattern(rewrite, &path, room->patterns, writer)
                             : rewrite_prefixes(rewrite, &path, writer);
    if (verdict == REWRITE_DONE)
        verdict = rewrite_judge(writer, from, room);
    if (verdict == REWRITE_DONE && query.data) {
        HEAD_PUT(writer, "?");
        head_put(writer, query);
    }
    return verdict == REWRITE_DONE && writer->full ? REWRITE_FULL : verdict;
}

const char *rewrite_check_to(const char *to, unsigned n_groups, size_t *ret_at)
{
    *ret_at = 0;
    if (to[0] != '/')
        return "no \"/\" at its beginning";
    for (const char *at = to; *at; at++) {
        *ret_at = (size_t)(at - to);
        if (*at == '?' || *at == '#')
            return "a query or a fragment; a rewrite is of the path, and the query stays";
        if (*at == '%' && text_unescape(text_of(at)) < 0)
            return "\"%\" without two hexadecimal digits";
        if (*at != '%' && *at != '/' && !byte_is(*at, BYTE_PLAIN))
            return "a character that a path may not have; write it percent-encoded";
        if (*at != '$')
            continue;
        if (at[1] != '$' && (at[1] < '1' || at[1] > '9'))
            return "a \"$\" that is neither \"$1\" to \"$9\" nor \"$$\"";
        if (at[1] != '$' && (unsigned)(at[1] - '0') > n_groups)
            return "a group that the pattern does not have";
        at++;
    }
    return NULL;
}
