/* What matching sees of a request-target. Pure.
 *
 * Every path has one spelling in the view: escapes of printable ASCII are decoded unless the byte would then mean
 * something else (space, "%"), hex digits of the rest are in upper case. That is RFC
 * 3986 6.2.2 and a step further: "/a%3Ab" is "/a:b" to nearly all servers, so a rule about one has to cover the other.
 */
#ifndef PORTHOLE_HTTP_PATH_H
#define PORTHOLE_HTTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/text.h"

/* What comes before the "?" of a request-target; *ret_query is what follows it, with data NULL where there is none. */
static inline struct text path_split(struct text origin, struct text *ret_query)
{
    const char *mark = origin.length > 0 ? (const char *)memchr(origin.data, '?', origin.length) : NULL;
    size_t n_path = mark ? (size_t)(mark - origin.data) : origin.length;

    *ret_query = mark ? (struct text){mark + 1, origin.length - n_path - 1} : (struct text){NULL, 0};
    return (struct text){origin.data, n_path};
}

enum path_verdict {
    PATH_CLEAR,
    PATH_AMBIGUOUS, /* could mean another path to the target */
    PATH_TOO_LONG,  /* does not fit `size` */
};

/* Writes the path of `origin` (origin-form, "?QUERY" for an empty path, or "*"; the query is cut off) as matching sees
 * it to out, not terminated, never longer than the input; *ret_length is its length (also when AMBIGUOUS: a best
 * effort), untouched when TOO_LONG.
 *
 * AMBIGUOUS: a "." or ".." segment in any spelling, also with path parameters ("..;x"); an empty segment that is not
 * the last, or any with only parameters (";x"); %2F, %5C, %3F, %23, %00 or another encoded control byte; escapes that
 * are no well-formed UTF-8 (overlong, of five or six bytes, surrogates, unfinished, Latin-1); a malformed escape; a raw
 * backslash or byte >= 0x80 (not allowed in a URI, and a second spelling of its escape). "*" is CLEAR and stays "*". */
enum path_verdict path_view(struct text origin, char *out, size_t size, size_t *ret_length);

/* NULL when matching can see `path` exactly as it is written, so that a condition on it can hold; else what is wrong
 * with it, a literal that reads behind "the path has", and *ret_at is the byte that it is about. `scratch` has room for
 * as many bytes as the path. */
const char *path_check(struct text path, char *scratch, size_t *ret_at);

/* Where in a path (without a query) stands what its view has at `offset`, which may be its end. The path is one whose
 * view is CLEAR. */
size_t path_offset_of_view(struct text path, size_t offset);

/* Segment boundaries: prefix "/a" covers "/a" and "/a/b", not "/ab"; "/a/" covers "/a/" and "/a/b".
 * An empty prefix covers everything. */
bool path_has_prefix(struct text path, struct text prefix);

#endif
