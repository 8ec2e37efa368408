#include "proxy/http/file_path.h"

/* The next segment between slashes, which may be empty; false at the end. */
static bool file_path_next(struct text *rest, struct text *ret_segment)
{
    const char *slash;
    size_t length;

    if (!rest->data)
        return false;
    slash = rest->length > 0 ? memchr(rest->data, '/', rest->length) : NULL;
    length = slash ? (size_t)(slash - rest->data) : rest->length;
    *ret_segment = (struct text){rest->data, length};
    *rest = slash ? (struct text){slash + 1, rest->length - length - 1} : (struct text){NULL, 0};
    return true;
}

/* The next one that leads anywhere. */
static bool file_path_next_step(struct text *rest, struct text *ret_segment)
{
    while (file_path_next(rest, ret_segment))
        if (ret_segment->length > 0 && !text_equal(*ret_segment, TEXT_LITERAL(".")))
            return true;
    return false;
}

/* Segments end at colons, too. */
static bool file_path_leads_up(struct text path)
{
    size_t begin = 0;

    for (size_t i = 0; i <= path.length; i++) {
        if (i < path.length && path.data[i] != '/' && path.data[i] != ':')
            continue;
        if (text_equal((struct text){path.data + begin, i - begin}, TEXT_LITERAL("..")))
            return true;
        begin = i + 1;
    }
    return false;
}

static struct text file_path_source(struct text path)
{
    const char *colon = memchr(path.data, ':', path.length);

    return colon ? (struct text){path.data, (size_t)(colon - path.data)} : path;
}

bool file_path_is_below(struct text path, struct text prefix)
{
    bool only_below = prefix.data[prefix.length - 1] == '/';
    struct text source, step, wanted;

    if (path.length == 0 || path.data[0] != '/' || memchr(path.data, '\\', path.length) || file_path_leads_up(path))
        return false;
    source = file_path_source(path);
    while (file_path_next_step(&prefix, &wanted))
        if (!file_path_next_step(&source, &step) || !text_equal(step, wanted))
            return false;
    return !only_below || file_path_next_step(&source, &step);
}

const char *file_path_check_prefix(struct text prefix)
{
    struct text rest, segment;

    if (prefix.length == 0 || prefix.data[0] != '/')
        return "has no \"/\" at its beginning";
    if (memchr(prefix.data, '\\', prefix.length))
        return "has a backslash";
    if (memchr(prefix.data, ':', prefix.length))
        return "has a colon, at which paths end here";
    rest = (struct text){prefix.data + 1, prefix.length - 1};
    while (file_path_next(&rest, &segment)) {
        if (text_equal(segment, TEXT_LITERAL("..")) || text_equal(segment, TEXT_LITERAL(".")))
            return "has a \".\" or \"..\" segment";
        if (segment.length == 0 && rest.data)
            return "has an empty segment";
    }
    return NULL;
}
