/* A rewrite's result is clear, or refused, whatever the request-target, the pattern and the new path are; what is left
 * of a path by prefixes is seen as the end of what was seen before; the query stays. Lines: the request-target, the
 * pattern or "", the new path or the prefix to add, the prefix to strip. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "proxy/http/path.h"
#include "proxy/http/rewrite.h"

#define ROOM_BYTES 65536u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct text query_of(struct text origin)
{
    const char *query = memchr(origin.data, '?', origin.length);

    return query ? (struct text){query, origin.length - (size_t)(query - origin.data)} : (struct text){"", 0};
}

static bool ends_with(struct text text, struct text end)
{
    return text.length >= end.length && memcmp(text.data + text.length - end.length, end.data, end.length) == 0;
}

/* The path that was seen ends in what is seen of the result behind the prefix that was added. */
static void check_rest(const struct rewrite *rewrite, struct text origin, struct text made)
{
    char *before = malloc(ROOM_BYTES), *after = malloc(ROOM_BYTES);
    struct text seen = {before, 0}, rest = {after, 0};
    size_t n_add = rewrite->add_prefix ? strlen(rewrite->add_prefix) : 0;

    assert(before && after);
    assert(path_view(origin, before, ROOM_BYTES, &seen.length) == PATH_CLEAR);
    assert(path_view(made, after, ROOM_BYTES, &rest.length) == PATH_CLEAR);
    n_add -= n_add > 0 && rewrite->add_prefix[n_add - 1] == '/';
    assert(rest.length >= n_add);
    rest = (struct text){rest.data + n_add, rest.length - n_add};
    assert(ends_with(seen, rest) || text_equal(rest, TEXT_LITERAL("/")));
    free(before);
    free(after);
}

static void check(const struct rewrite *rewrite, struct text origin, struct pattern_memory *patterns)
{
    char *scratch = malloc(ROOM_BYTES), *out = malloc(ROOM_BYTES);
    const struct rewrite_room room = {patterns, scratch, ROOM_BYTES};
    struct head_writer writer = {.out = out, .size = ROOM_BYTES};
    size_t length;

    assert(scratch && out);
    if (rewrite_apply(rewrite, origin, &room, &writer) == REWRITE_DONE) {
        struct text made = {out, writer.length};

        assert(made.length > 0 && made.data[0] == '/');
        assert(path_view(made, scratch, ROOM_BYTES, &length) == PATH_CLEAR);
        assert(text_equal(query_of(made), query_of(origin)));
        if (!rewrite->regex)
            check_rest(rewrite, origin, made);
    }
    free(scratch);
    free(out);
}

static bool is_path(const char *path)
{
    char *scratch = malloc(strlen(path) + 1);
    size_t at;
    bool good = scratch && !path_check(text_of(path), scratch, &at);

    free(scratch);
    return good;
}

/* As the configuration lets it through. */
static bool make(struct rewrite *rewrite, char *regex, char *to, char *strip)
{
    struct pattern_error error;
    size_t at;

    if (regex[0] == '\0') {
        rewrite->add_prefix = to[0] ? to : NULL;
        rewrite->strip_prefix = strip[0] ? strip : NULL;
        return (to[0] || strip[0]) && (!to[0] || is_path(to)) && (!strip[0] || is_path(strip));
    }
    rewrite->to = to;
    return pattern_compile(regex, &rewrite->regex, &error) == 0 &&
           !rewrite_check_to(to, pattern_groups(rewrite->regex), &at);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct pattern_memory *patterns;
    char *text = strndup((const char *)bytes, size), *rest = text, *lines[4], none[] = "";
    struct rewrite rewrite = {0};

    if (!patterns)
        patterns = pattern_memory_new();
    assert(text && patterns);
    for (size_t i = 0; i < 4; i++)
        lines[i] = rest ? strsep(&rest, "\n") : none;
    if (make(&rewrite, lines[1], lines[2], lines[3]) && strlen(lines[0]) < ROOM_BYTES / 2)
        check(&rewrite, text_of(lines[0]), patterns);
    pattern_free(rewrite.regex);
    free(text);
    return 0;
}
