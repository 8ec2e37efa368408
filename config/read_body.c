/* What routes make of bodies: rules on JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/read.h"
#include "proxy/base/words.h"
#include "proxy/http/file_path.h"
#include "proxy/http/json_tree.h"

/* ---- what a rule is about ---- */

void read_json_pointer(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                       void *section)
{
    const char *pointer = reader_text(reader, at, value, "a pointer such as \"/HostConfig/Privileged\"");
    const char *wrong = pointer ? json_rule_check_pointer(pointer) : NULL;

    if (wrong)
        reader_problem(reader, at, "the pointer \"%s\" %s", WORDS_SHOW(pointer), wrong);
    else if (pointer)
        reader_copy(reader, pointer, key_field(key, section));
}

/* ---- what it asks for ---- */

static const char read_value_expected[] = "null, true, false, an integer, a string, [] or {}";

static void read_value(struct reader *reader, const struct place *at, const json_t *value, struct json_value *out)
{
    static const enum json_value_kind kinds[] = {
        [JSON_OBJECT] = JSON_VALUE_EMPTY_OBJECT, [JSON_ARRAY] = JSON_VALUE_EMPTY_ARRAY,
        [JSON_STRING] = JSON_VALUE_STRING,       [JSON_INTEGER] = JSON_VALUE_INTEGER,
        [JSON_REAL] = JSON_VALUE_INTEGER,        [JSON_TRUE] = JSON_VALUE_TRUE,
        [JSON_FALSE] = JSON_VALUE_FALSE,         [JSON_NULL] = JSON_VALUE_NULL,
    };
    const char *text = json_is_string(value) ? read_element(reader, at, value, "a string") : NULL;

    out->kind = kinds[json_typeof(value)];
    out->integer = json_integer_value(value);
    reader_hide(reader, value);
    if (text)
        reader_copy(reader, text, &out->text);
    reader_note_written(reader, value, out->text);
    if (json_is_real(value) || json_object_size(value) > 0 || json_array_size(value) > 0)
        reader_problem_type(reader, at, value, read_value_expected);
}

void read_json_value(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                     void *section)
{
    struct json_value *one = reader_memory(reader, calloc(1, sizeof(*one)));

    *(struct json_value **)key_field(key, section) = one;
    *key_count(key, section) = one ? 1 : 0;
    if (one)
        read_value(reader, at, value, one);
}

void read_json_values(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                      void *section)
{
    struct place place = {.parent = at};
    struct json_value *values = reader_array(reader, at, value, sizeof(*values),
                                             "an array of values such as [false, null]", key_count(key, section));
    json_t *member;

    *(struct json_value **)key_field(key, section) = values;
    json_array_foreach(values ? value : NULL, place.index, member)
    {
        read_value(reader, &place, member, &values[place.index]);
    }
}

static const char *read_check_prefix(const char *text)
{
    return file_path_check_prefix(text_of(text));
}

void read_prefixes(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section)
{
    static const struct read_texts_kind paths = {
        "an array of paths such as [\"/srv/ci/\"]", "a string", "path", read_check_prefix, false, false};

    read_texts(reader, at, value, key, section, &paths);
}

/* An empty array is something to say: an object without keys. */
void read_json_keys(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    static const struct read_texts_kind keys = {"an array of keys such as [\"Image\", \"Cmd\"], or an empty one",
                                                "a string",
                                                "key",
                                                json_rule_check_key,
                                                true,
                                                false};

    read_texts(reader, at, value, key, section, &keys);
}

void read_pattern(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                  void *section)
{
    const char *text = reader_text(reader, at, value, "a regular expression");

    if (text)
        *(struct pattern **)key_field(key, section) = read_compile(reader, at, text);
}

void read_signed(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                 void *section)
{
    if (json_is_integer(value))
        *(int64_t *)key_field(key, section) = json_integer_value(value);
    else
        reader_problem_type(reader, at, value, "an integer");
}

/* ---- one rule ---- */

#define READ_CONDITIONS 8

/* In their order; bounds are one condition of two keys. */
static const struct {
    const char *key;
    enum json_rule_kind kind;
} read_conditions[READ_CONDITIONS] = {
    {"equals", JSON_RULE_EQUALS}, {"in", JSON_RULE_IN},           {"prefix", JSON_RULE_PREFIX},
    {"regex", JSON_RULE_REGEX},   {"at_least", JSON_RULE_BOUNDS}, {"at_most", JSON_RULE_BOUNDS},
    {"keys", JSON_RULE_KEYS},     {"absent", JSON_RULE_ABSENT},
};

static void read_rule_kind(struct reader *reader, const struct place *at, const json_t *value, struct json_rule *rule)
{
    const char *first = NULL;

    for (size_t i = 0; i < READ_CONDITIONS; i++) {
        if (!json_object_get(value, read_conditions[i].key))
            continue;
        if (first && read_conditions[i].kind != rule->kind) {
            reader_problem(reader, at, "a rule has one condition, not \"%s\" and \"%s\"; write two rules", first,
                           read_conditions[i].key);
            return;
        }
        first = read_conditions[i].key;
        rule->kind = read_conditions[i].kind;
    }
    if (!first)
        reader_problem(
            reader, at,
            "a rule needs a condition: \"equals\", \"in\", \"prefix\", \"regex\", \"at_least\", \"at_most\", "
            "\"keys\" or \"absent\"");
}

static void read_check_rule(struct reader *reader, const struct place *at, const json_t *value,
                            const struct json_rule *rule)
{
    const struct place absent = {at, "absent", 0}, optional = {at, "optional", 0};

    if (rule->has_least && rule->has_most && rule->least > rule->most)
        reader_problem(reader, at, "no integer is at least %jd and at most %jd", (intmax_t)rule->least,
                       (intmax_t)rule->most);
    if (rule->kind != JSON_RULE_ABSENT || !json_object_get(value, "absent"))
        return;
    if (!rule->absent)
        reader_problem(reader, &absent, "expected true; leave the rule out where anything may be there");
    if (rule->optional)
        reader_problem_key(reader, &optional, "\"optional\" says nothing beside \"absent\"");
}

void read_body_rules(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                     void *section)
{
    struct place place = {.parent = at};
    struct json_rule *rules;
    json_t *element;

    if (!read_elements(reader, at, value, key, section,
                       "an array of rules such as {\"at\": \"/Image\", \"regex\": \".*\"}"))
        return;
    rules = *(struct json_rule **)key_field(key, section);
    json_array_foreach(value, place.index, element)
    {
        struct json_rule *rule = &rules[place.index];

        read_section(reader, &place, element, key->keys, rule);
        if (!json_is_object(element))
            continue;
        read_rule_kind(reader, &place, element, rule);
        read_check_rule(reader, &place, element, rule);
    }
}

/* ---- all of them ---- */

/* When each by itself is right. */
static void read_ready_rules(struct reader *reader, const struct place *at, struct route_config *route)
{
    struct json_rules_error error;
    int r = json_rules_new(route->body.rules, route->body.n_rules, &route->body.ready, &error);

    if (r == -EINVAL) {
        const struct place json = {at, "json", 0}, place = {.parent = &json, .index = error.rule};

        reader_problem(reader, &place, "%s", error.message);
    } else if (r < 0) {
        reader_memory(reader, NULL);
    }
}

void read_body(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    struct route_config *route = section;
    size_t n_problems = reader->problems->n_items;

    read_inner(reader, at, value, key, section);
    if (route->body.n_rules > 0 && reader->problems->n_items == n_problems && !reader->failure)
        read_ready_rules(reader, at, route);
}

void read_complete_body(struct reader *reader, const struct place *at, struct route_config *route)
{
    const struct place upgrade = {at, "upgrade", 0};

    if (!route->has_body)
        return;
    if (route->upgrade && route->upgrade[0])
        reader_problem_key(reader, &upgrade, "a route with \"body\" upgrades to nothing: what follows is not judged");
    else if (!route->upgrade)
        route->upgrade = reader_memory(reader, calloc(1, sizeof(*route->upgrade)));
}
