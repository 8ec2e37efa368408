#include "config/route_covers.h"

#include "proxy/http/path.h"

static bool covers_methods(char *const *above, char *const *below)
{
    if (!above)
        return true;
    for (; below && *below; below++) {
        bool found = false;

        for (char *const *method = above; *method && !found; method++)
            found = strcmp(*method, *below) == 0;
        if (!found)
            return false;
    }
    return below != NULL;
}

/* "*.b" takes "a.b" and "*.a.b". */
static bool covers_host(const char *above, const char *below)
{
    struct text suffix, name;

    if (!above)
        return true;
    if (!below)
        return false;
    if (strcmp(above, below) == 0)
        return true;
    if (above[0] != '*')
        return false;
    suffix = text_of(above + 1);
    name = text_of(below[0] == '*' ? below + 1 : below);
    return name.length > suffix.length &&
           text_equal((struct text){name.data + name.length - suffix.length, suffix.length}, suffix);
}

static bool covers_pattern(const struct route_config *above, const struct route_config *below,
                           struct pattern_memory *memory)
{
    if (below->path_regex)
        return strcmp(pattern_text(above->path_regex), pattern_text(below->path_regex)) == 0;
    return below->path && pattern_match(above->path_regex, text_of(below->path), memory) == PATTERN_FITS;
}

static bool covers_path(const struct route_config *above, const struct route_config *below,
                        struct pattern_memory *memory)
{
    if (above->path_regex)
        return covers_pattern(above, below, memory);
    if (above->path)
        return below->path && strcmp(above->path, below->path) == 0;
    if (!above->path_prefix)
        return true;
    if (below->path || below->path_prefix)
        return path_has_prefix(text_of(below->path ? below->path : below->path_prefix), text_of(above->path_prefix));
    /* Every path begins with "/", but for "*", which no pattern is written for. */
    return strcmp(above->path_prefix, "/") == 0 && below->path_regex;
}

static bool covers_conditions(const struct condition *above, size_t n_above, const struct condition *below,
                              size_t n_below)
{
    for (size_t i = 0; i < n_above; i++) {
        bool found = false;

        for (size_t j = 0; j < n_below && !found; j++)
            found = condition_is_same(&above[i], &below[j]);
        if (!found)
            return false;
    }
    return true;
}

static bool covers_peers(const struct route_config *above, const struct route_config *below)
{
    if (above->n_peers == 0 && above->n_denied == 0)
        return true;
    return above->n_peers == below->n_peers && above->n_denied == below->n_denied &&
           (above->n_peers == 0 || memcmp(above->peers, below->peers, above->n_peers * sizeof(*above->peers)) == 0) &&
           (above->n_denied == 0 ||
            memcmp(above->denied, below->denied, above->n_denied * sizeof(*above->denied)) == 0);
}

bool route_covers(const struct route_config *above, const struct route_config *below, struct pattern_memory *memory)
{
    return covers_methods(above->methods, below->methods) && covers_host(above->host, below->host) &&
           covers_conditions(above->headers, above->n_headers, below->headers, below->n_headers) &&
           covers_conditions(above->queries, above->n_queries, below->queries, below->n_queries) &&
           covers_peers(above, below) && covers_path(above, below, memory);
}
