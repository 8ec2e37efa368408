/* Rules on a JSON body: what must be true of the values at a pointer. Pure.
 *
 * A pointer (RFC 6901) names members of objects by their keys; "*" stands for each element of an array, all of which
 * must satisfy. The empty pointer is the document. What counts is what the target will read:
 *
 * - a document that is read in several ways is refused as a whole (json_tape.h, json_keys.h);
 * - null counts as missing, which is how Go reads it: on the way, and at the end unless the rule lists values. As an
 *   element of an array it is a value there, of no type but its own;
 * - a pointer that leads nowhere, into an empty array, too, is refused unless the rule is `optional`;
 * - so is a value on the way, or at the end, of a type that the rule cannot judge. */
#ifndef PORTHOLE_HTTP_JSON_RULE_H
#define PORTHOLE_HTTP_JSON_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/base/text.h"
#include "proxy/http/pattern.h"

#define JSON_RULE_MOST_SEGMENTS 16
/* Of a string that a prefix is for, or, if it has escapes, a pattern: longer ones are refused. */
#define JSON_RULE_STRING_MOST_BYTES 4096

enum json_value_kind {
    JSON_VALUE_NULL,
    JSON_VALUE_FALSE,
    JSON_VALUE_TRUE,
    JSON_VALUE_INTEGER, /* a plain one: json_number_integer */
    JSON_VALUE_STRING,
    JSON_VALUE_EMPTY_ARRAY,
    JSON_VALUE_EMPTY_OBJECT,
};

/* What a rule may list. */
struct json_value {
    enum json_value_kind kind;
    int64_t integer;
    char *text; /* STRING: owned */
};

/* By which of the conditions below a rule judges. */
enum json_rule_kind {
    JSON_RULE_EQUALS,
    JSON_RULE_IN,
    JSON_RULE_PREFIX,
    JSON_RULE_REGEX,
    JSON_RULE_BOUNDS,
    JSON_RULE_KEYS,
    JSON_RULE_ABSENT,
};

/* What is not its kind's is all zero. */
struct json_rule {
    char *at; /* owned: the pointer */
    enum json_rule_kind kind;
    bool optional;             /* missing will do */
    bool absent;               /* missing is what it must be */
    struct json_value *equals; /* owned; the one value that it may have */
    size_t n_equals;
    struct json_value *in; /* owned; it is one of these */
    size_t n_in;
    char **prefixes;       /* owned, ends with NULL; one of these covers the path (file_path_is_below) */
    struct pattern *regex; /* owned; the string fits it as a whole */
    char **keys;           /* owned, ends with NULL; the object has no others */
    bool has_least, has_most;
    int64_t least, most; /* a plain integer (json_number_integer) is at least, and at most, so much */
};

/* Takes one of zeros. */
void json_value_deinit(struct json_value *value);

/* NULL when a pointer is one, else what is wrong with it: a literal that reads behind "the pointer". */
const char *json_rule_check_pointer(const char *pointer);
/* The same of a key. */
const char *json_rule_check_key(const char *key);

#endif
