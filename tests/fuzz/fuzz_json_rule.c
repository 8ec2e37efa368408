/* Rules on JSON bodies: another judge, who walks each pointer for itself through jansson's values, says the same.
 *
 * Input: a byte for the rules, then the document. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/json_judge.h"
#include "tests/fuzz/json_fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define RULE(pointer, rule_kind, ...)                             \
    {                                                             \
        .at = (char *)(pointer), .kind = (rule_kind), __VA_ARGS__ \
    }
#define IN(pointer, array, ...) \
    RULE(pointer, JSON_RULE_IN, .in = (array), .n_in = sizeof(array) / sizeof((array)[0]), __VA_ARGS__)
#define SOME(array)                                 \
    {                                               \
        (array), sizeof(array) / sizeof((array)[0]) \
    }

static struct json_value off[] = {{JSON_VALUE_FALSE, 0, NULL}, {JSON_VALUE_NULL, 0, NULL}};
static struct json_value empty[] = {{JSON_VALUE_EMPTY_ARRAY, 0, NULL}, {JSON_VALUE_EMPTY_OBJECT, 0, NULL}};
static struct json_value some[] = {{JSON_VALUE_INTEGER, 7, NULL},
                                   {JSON_VALUE_INTEGER, -1, NULL},
                                   {JSON_VALUE_TRUE, 0, NULL},
                                   {JSON_VALUE_STRING, 0, (char *)"s\xc3\xa4"}};
static char *paths[] = {(char *)"/a/", (char *)"/b", NULL};
static char *keys[] = {(char *)"a", (char *)"ks", NULL};

static struct json_rule few[] = {IN("/a/s", off, .optional = true)};
static struct json_rule required[] = {IN("/a", some, .optional = false), IN("/b/c", off, .optional = false)};
static struct json_rule each[] = {RULE("/a/*", JSON_RULE_PREFIX, .prefixes = paths, .optional = true),
                                  IN("/a", empty, .optional = true)};
static struct json_rule nested[] = {IN("/m/*/t", some, .optional = true),
                                    RULE("/m/*/s", JSON_RULE_PREFIX, .prefixes = paths, .optional = false),
                                    RULE("/m/*/o/*/x", JSON_RULE_ABSENT, .absent = true)};
static struct json_rule document[] = {
    RULE("", JSON_RULE_KEYS, .keys = keys, .optional = false),
    RULE("/a", JSON_RULE_KEYS, .keys = keys, .optional = true),
    RULE("/ks", JSON_RULE_BOUNDS, .has_least = true, .least = -3, .has_most = true, .most = 12, .optional = true)};
static struct json_rule elements[] = {RULE("/*", JSON_RULE_BOUNDS, .has_most = true, .most = 3),
                                      RULE("/*", JSON_RULE_BOUNDS, .has_least = true, .least = 1)};
static struct json_rule matched[] = {RULE("/k", JSON_RULE_REGEX, .optional = true),
                                     RULE("/~0/*/~1", JSON_RULE_ABSENT, .absent = true)};

static const struct {
    struct json_rule *items;
    size_t n_items;
} sets[] = {SOME(few), SOME(required), SOME(each), SOME(nested), SOME(document), SOME(elements), SOME(matched)};

/* ---- the other judge ---- */

/* The segments of a path, one by one; "" where there is nothing. */
static bool is_below(const char *whole, const char *prefix)
{
    char *path = strndup(whole, strcspn(whole, ":")), *wanted = strdup(prefix), *p = path, *w = wanted, *s, *t = NULL;
    bool below = whole[0] == '/' && !strchr(whole, '\\'), only_below = prefix[strlen(prefix) - 1] == '/';
    char *copy = strdup(whole), *c = copy;

    assert(path && wanted && copy);
    while ((s = strsep(&c, "/:")))
        below = below && strcmp(s, "..") != 0;
    while ((s = strsep(&w, "/"))) {
        if (*s == '\0')
            continue;
        do
            t = strsep(&p, "/");
        while (t && (*t == '\0' || strcmp(t, ".") == 0));
        below = below && t && strcmp(s, t) == 0;
    }
    do
        t = strsep(&p, "/");
    while (t && (*t == '\0' || strcmp(t, ".") == 0));
    below = below && (t || !only_below);
    free(path);
    free(wanted);
    free(copy);
    return below;
}

static bool is_value(json_t *json, const struct json_value *value)
{
    switch (value->kind) {
    case JSON_VALUE_NULL:
        return json_is_null(json);
    case JSON_VALUE_FALSE:
        return json_is_false(json);
    case JSON_VALUE_TRUE:
        return json_is_true(json);
    case JSON_VALUE_INTEGER:
        return json_is_integer(json) && json_integer_value(json) == value->integer;
    case JSON_VALUE_STRING:
        return json_is_string(json) && strcmp(json_string_value(json), value->text) == 0;
    case JSON_VALUE_EMPTY_ARRAY:
        return json_is_array(json) && json_array_size(json) == 0;
    case JSON_VALUE_EMPTY_OBJECT:
        return json_is_object(json) && json_object_size(json) == 0;
    }
    return false;
}

static bool may_be_missing(const struct json_rule *rule)
{
    return rule->optional || rule->kind == JSON_RULE_ABSENT;
}

static bool holds_at(json_t *json, const struct json_rule *rule, bool element)
{
    bool holds = false;
    const char *key;
    json_t *member;

    if (rule->kind == JSON_RULE_IN) {
        for (size_t i = 0; i < rule->n_in; i++)
            holds = holds || is_value(json, &rule->in[i]);
        return holds;
    }
    if (json_is_null(json))
        return !element && may_be_missing(rule);
    switch (rule->kind) {
    case JSON_RULE_PREFIX:
        for (char **prefix = rule->prefixes; json_is_string(json) && *prefix; prefix++)
            holds = holds || is_below(json_string_value(json), *prefix);
        return holds;
    case JSON_RULE_REGEX: /* [a-c]+ */
        return json_is_string(json) && json_string_length(json) > 0 &&
               strspn(json_string_value(json), "abc") == json_string_length(json);
    case JSON_RULE_BOUNDS:
        return json_is_integer(json) && (!rule->has_least || json_integer_value(json) >= rule->least) &&
               (!rule->has_most || json_integer_value(json) <= rule->most);
    case JSON_RULE_KEYS:
        json_object_foreach(json, key, member)
        {
            bool listed = false;

            for (char **name = rule->keys; *name; name++)
                listed = listed || strcmp(*name, key) == 0;
            if (!listed)
                return false;
        }
        return json_is_object(json);
    default:
        return false;
    }
}

/* `pointer` is what is left of it. */
static bool holds(json_t *json, const char *pointer, const struct json_rule *rule, bool element)
{
    size_t length, n = 0, i;
    char segment[16];
    json_t *member;
    bool all = true;

    if (*pointer == '\0')
        return holds_at(json, rule, element);
    if (json_is_null(json))
        return may_be_missing(rule);
    length = strcspn(++pointer, "/");
    for (i = 0; i < length; i++)
        segment[n++] = (char)(pointer[i] != '~' ? pointer[i] : pointer[++i] == '0' ? '~' : '/');
    segment[n] = '\0';
    pointer += length;
    if (strcmp(segment, "*") == 0) {
        json_array_foreach(json, i, member) all = all && holds(member, pointer, rule, true);
        return json_is_array(json) && all && (json_array_size(json) > 0 || may_be_missing(rule));
    }
    if (!json_is_object(json))
        return false;
    member = json_object_get(json, segment);
    return member ? holds(member, pointer, rule, false) : may_be_missing(rule);
}

/* Whether a key is like this name and not it. */
static bool has_like(json_t *json, const char *name)
{
    bool like = false;
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach(json, key, member)
    {
        char *folded = strdup(key), *wanted = strdup(name);

        assert(folded && wanted);
        json_fold_text(folded);
        json_fold_text(wanted);
        like = like || (strcmp(folded, wanted) == 0 && strcmp(key, name) != 0) || has_like(member, name);
        free(folded);
        free(wanted);
    }
    json_array_foreach(json, i, member) like = like || has_like(member, name);
    return like;
}

static bool has_like_of(json_t *json, const struct json_rule *rule)
{
    char *copy = strdup(rule->at), *rest = copy, *segment;
    bool like = false;

    assert(copy);
    while ((segment = strsep(&rest, "/")))
        if (*segment && strcmp(segment, "*") != 0)
            like = like || has_like(json, strcmp(segment, "~0") == 0   ? "~"
                                          : strcmp(segment, "~1") == 0 ? "/"
                                                                       : segment);
    for (char **name = rule->keys; name && *name; name++)
        like = like || has_like(json, *name);
    free(copy);
    return like;
}

static unsigned depth_of(json_t *json)
{
    unsigned depth = 0, inner;
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach(json, key, member)
    {
        inner = depth_of(member);
        depth = inner > depth ? inner : depth;
    }
    json_array_foreach(json, i, member)
    {
        inner = depth_of(member);
        depth = inner > depth ? inner : depth;
    }
    return depth + (json_is_object(json) || json_is_array(json));
}

static bool other_judge(json_t *json, const struct json_rule *items, size_t n_items)
{
    bool good = json && depth_of(json) <= 64 && !json_fold_has_alike(json);

    for (size_t i = 0; i < n_items; i++)
        good = good && !has_like_of(json, &items[i]) && holds(json, items[i].at, &items[i], false);
    return good;
}

/* ---- both ---- */

static void prepare(void)
{
    struct pattern_error error;

    if (!matched[0].regex && pattern_compile("[a-c]+", &matched[0].regex, &error) < 0)
        abort();
}

/* What jansson does not tell apart, or not take: a NUL ends its text, -0 is 0, numbers that are too large. */
static bool is_beyond_jansson(struct text body, const json_error_t *error, bool taken)
{
    return (body.length > 0 && (memchr(body.data, '\0', body.length) || memmem(body.data, body.length, "-0", 2))) ||
           (!taken && json_error_code(error) == json_error_numeric_overflow);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct pattern_memory *patterns;
    struct json_rules *rules = NULL;
    struct json_rules_error error;
    struct json_finding finding = {0};
    size_t set = size > 0 ? bytes[0] % (sizeof(sets) / sizeof(sets[0])) : 0;
    struct text body = {(const char *)bytes + 1, size > 0 ? size - 1 : 0};
    json_error_t json_error;
    json_t *json;
    void *memory;
    bool good;

    if (size == 0)
        return 0;
    prepare();
    patterns = patterns ? patterns : pattern_memory_new();
    if (json_rules_new(sets[set].items, sets[set].n_items, &rules, &error) != 0)
        abort();
    memory = malloc(json_judge_bytes(rules, body.length));
    assert(memory && patterns);
    good = json_judge(rules, body, memory, patterns, &finding);
    assert(good || (finding.what && finding.at <= body.length));
    assert(good || finding.rule == SIZE_MAX || finding.rule < sets[set].n_items);
    json = json_loadb(body.data, body.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &json_error);
    if (!is_beyond_jansson(body, &json_error, json))
        assert(good == other_judge(json, sets[set].items, sets[set].n_items));
    json_decref(json);
    free(memory);
    json_rules_free(rules);
    return 0;
}
