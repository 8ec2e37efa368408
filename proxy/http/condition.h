/* Conditions of rules on a field of a request, or on a parameter of its query. Pure.
 *
 * A condition is about what the target will read. Where that cannot be told - the field came twice, or under a second
 * name that CGI takes for the same; the parameter came twice, or hides behind a ";" or "[" that some servers split at -
 * it is undecided, and whoever asks must refuse the request. */
#ifndef PORTHOLE_HTTP_CONDITION_H
#define PORTHOLE_HTTP_CONDITION_H

#include "proxy/http/fields.h"
#include "proxy/http/pattern.h"
#include "proxy/http/template.h"

enum condition_kind {
    CONDITION_ABSENT,
    CONDITION_PRESENT, /* whatever its value */
    CONDITION_EQUALS,
    CONDITION_FITS,
};

struct condition {
    char *name; /* of the field, in any case; of the parameter, decoded. Owned, like the others */
    enum condition_kind kind;
    struct template *value;  /* EQUALS: a text, or what files hold at the moment */
    struct pattern *pattern; /* FITS */
    bool secret;             /* it compares with what a variable or a file holds */
};

/* Takes one that is all zero, too. */
void condition_deinit(struct condition *condition);

/* Whether both ask for the same, as they are written. */
bool condition_is_same(const struct condition *a, const struct condition *b);

enum condition_verdict { CONDITION_HOLDS, CONDITION_FAILS, CONDITION_UNDECIDED };

/* What one thread needs for telling. Both are borrowed. */
struct condition_means {
    struct pattern_memory *memory;
    struct template_values *values; /* its `file` tells what files hold; NULL: no condition refers to one */
};

/* Dropped fields are not there, but for Upgrade. *ret_why says, on UNDECIDED, what could not be told: a static
 * sentence.
 */
enum condition_verdict condition_on_fields(const struct condition *condition, const struct fields *fields,
                                           const struct condition_means *means, const char **ret_why);
/* `query` is what follows the "?"; `scratch` has room for as many bytes. Names and values are decoded: "+" is a space.
 */
enum condition_verdict condition_on_query(const struct condition *condition, struct text query, char *scratch,
                                          const struct condition_means *means, const char **ret_why);

/* Whether what stands between two "&" of a query is, or may be for some, the parameter that the condition is about.
 * `scratch` has room for as many bytes. */
bool condition_is_about(const struct condition *condition, struct text piece, char *scratch);

#endif
