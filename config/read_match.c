/* What routes match by pattern, field and query. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/read.h"
#include "proxy/base/words.h"
#include "proxy/http/fields.h"

struct pattern *read_compile(struct reader *reader, const struct place *at, const char *text)
{
    struct pattern *pattern = NULL;
    struct pattern_error error;
    int r = pattern_compile(text, &pattern, &error);

    if (r == -ENOMEM)
        reader_memory(reader, NULL);
    else if (r < 0)
        reader_problem(reader, at, "\"%s\" is no regular expression: %s (byte %zu)", WORDS_SHOW(text), error.message,
                       error.at + 1);
    return pattern;
}

/* Paths begin with "/", so that one which asks for something else there is a mistake. */
static bool read_begins_wrong(const char *text)
{
    text += strspn(text, "^");
    return (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9');
}

void read_path_pattern(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                       void *section)
{
    const char *text = reader_text(reader, at, value, "a regular expression such as \"/v[0-9]+/.*\"");

    if (text && read_begins_wrong(text))
        reader_problem(reader, at, "\"%s\" can match no path: it must match the whole path, which begins with \"/\"",
                       WORDS_SHOW(text));
    else if (text)
        *(struct pattern **)key_field(key, section) = read_compile(reader, at, text);
}

/* ---- conditions ---- */

static void read_condition_regex(struct reader *reader, const struct place *at, const json_t *value,
                                 struct condition *condition)
{
    const char *text = read_element(reader, at, value, "a regular expression");

    condition->kind = CONDITION_FITS;
    condition->secret = reader_hide(reader, value);
    if (text)
        condition->pattern = read_compile(reader, at, text);
    reader_note_written(reader, value, condition->pattern);
}

static void read_condition_present(struct reader *reader, const struct place *at, json_t *value,
                                   struct condition *condition)
{
    static const struct key key = {.name = "present", .type = KEY_BOOL};
    bool present = true;

    read_member(reader, at, value, &key, &present);
    condition->kind = present ? CONDITION_PRESENT : CONDITION_ABSENT;
}

static void read_condition_object(struct reader *reader, const struct place *at, const json_t *value,
                                  struct condition *condition)
{
    const struct place regex = {at, "regex", 0}, present = {at, "present", 0};
    const char *name;
    json_t *member;

    if (json_object_size(value) == 0)
        reader_problem(reader, at, "expected {\"regex\": ...} or {\"present\": ...}, got an empty object");
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const struct place place = {at, name, 0};

        if (strcmp(name, "regex") == 0)
            read_condition_regex(reader, &regex, member, condition);
        else if (strcmp(name, "present") == 0)
            read_condition_present(reader, &present, member, condition);
        else
            reader_problem_key(reader, &place, "unknown key \"%s\"; expected one of regex, present", WORDS_SHOW(name));
    }
    if (json_object_size(value) > 1)
        reader_problem(reader, at, "one condition at a time: \"regex\" or \"present\"");
}

static void read_condition(struct reader *reader, const struct place *at, const json_t *value,
                           struct condition *condition)
{
    reader_copy(reader, at->key, &condition->name);
    if (json_is_object(value)) {
        read_condition_object(reader, at, value, condition);
        return;
    }
    condition->kind = CONDITION_EQUALS;
    condition->value = read_template(reader, at, value, TEMPLATE_BIT(TEMPLATE_FILE),
                                     "a string, {\"regex\": ...} or {\"present\": ...}");
    condition->secret = condition->value && read_is_secret(reader, value, condition->value);
    if (!condition->value)
        condition->value = reader_memory(reader, template_of_literal(""));
}

/* NULL when a condition can be about the field; else what is wrong with its name. */
static const char *read_check_field_name(const char *name)
{
    enum field_id id = field_identify(text_of(name));
    enum field_class class = field_class_of(id);

    if (!text_is_token(text_of(name)))
        return "is no name of a field (RFC 9110 allows letters, digits and some punctuation)";
    if (id == FIELD_HOST)
        return "has a condition of its own: \"host\"";
    if (class == FIELD_CLASS_FRAME || (class == FIELD_CLASS_HOP && id != FIELD_UPGRADE))
        return "is about the connection with the client and is not forwarded";
    return NULL;
}

static const char *read_check_parameter_name(const char *name)
{
    return name[0] == '\0' ? "is no name of a parameter" : NULL;
}

static void read_conditions(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                            void *section, const char *(*check)(const char *name), bool fold)
{
    struct condition *conditions;
    json_t *seen, *member;
    const char *name;

    if (!json_is_object(value)) {
        reader_problem_type(reader, at, value, "an object with a condition for each name");
        return;
    }
    if (json_object_size(value) == 0) {
        reader_problem(reader, at, "expected an object with a condition for each name, got an empty one");
        return;
    }
    conditions = reader_memory(reader, calloc(json_object_size(value), sizeof(*conditions)));
    if (!conditions)
        return;
    *(struct condition **)key_field(key, section) = conditions;
    seen = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const struct place place = {at, name, 0};
        const char *wrong = check(name);
        struct condition *condition = &conditions[(*key_count(key, section))++];

        read_condition(reader, &place, member, condition);
        if (wrong)
            reader_problem_key(reader, &place, "\"%s\" %s", WORDS_SHOW(name), wrong);
        if (fold && condition->name) {
            read_to_lower_case(condition->name);
            reader_unique(reader, &place, seen, condition->name, "field");
        }
    }
    json_decref(seen);
}

void read_field_conditions(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                           void *section)
{
    read_conditions(reader, at, value, key, section, read_check_field_name, true);
}

void read_query_conditions(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                           void *section)
{
    read_conditions(reader, at, value, key, section, read_check_parameter_name, false);
}
