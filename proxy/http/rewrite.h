/* Rewrites: another path for the target than the client asked for. Pure.
 *
 * What is found is found in the path as matching sees it (path.h), so that no spelling gets past it; what is kept of
 * the path is kept as the client wrote it, like the query. A path that could mean another one is not rewritten, nor is
 * one that the rewrite would make so. */
#ifndef PORTHOLE_HTTP_REWRITE_H
#define PORTHOLE_HTTP_REWRITE_H

#include "proxy/http/head_writer.h"
#include "proxy/http/pattern.h"

/* One of both ways: prefixes or a pattern. All zero: no rewrite. Strings are owned and terminated. */
struct rewrite {
    char *strip_prefix;    /* NULL: none. On segment boundaries; "/api" and "/api/" strip the same of "/api/x" */
    char *add_prefix;      /* NULL: none */
    struct pattern *regex; /* of the whole path; NULL: prefixes */
    char *to;              /* with regex: the new path, "$1" to "$9" are its groups, "$$" is a "$" */
};

static inline bool rewrite_is_any(const struct rewrite *rewrite)
{
    return rewrite->strip_prefix || rewrite->add_prefix || rewrite->regex;
}

enum rewrite_verdict {
    REWRITE_DONE,
    REWRITE_NOT,       /* it is not for this path, which stays */
    REWRITE_AMBIGUOUS, /* the path, or what would become of it, could mean another one */
    REWRITE_UNDECIDED, /* the pattern was given up at its limit */
    REWRITE_FULL,      /* no room */
};

/* What a rewrite works with. */
struct rewrite_room {
    struct pattern_memory *patterns;
    char *scratch; /* of at least twice as many bytes as the request-target has, and as the result may have */
    size_t scratch_bytes;
};

/* Writes what `origin` (struct request) becomes, its query included. Unless DONE nothing that was written counts. */
enum rewrite_verdict rewrite_apply(const struct rewrite *rewrite, struct text origin, const struct rewrite_room *room,
                                   struct head_writer *writer);

/* NULL when `to` can be used with a pattern of so many groups; else what is wrong with it, as it reads behind "the path
 * has", and *ret_at is the byte that it is about. */
const char *rewrite_check_to(const char *to, unsigned n_groups, size_t *ret_at);

#endif
