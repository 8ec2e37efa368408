#include "config/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/expand.h"
#include "proxy/base/words.h"

/* More keys than any table has. */
#define READ_KEYS_MAX 24

static read_fn *const read_functions[N_KEY_TYPES] = {
#define KEY_TYPE(id, name, storage, words) read_##name,
#include "config/key_types.def"
#undef KEY_TYPE
};

/* Says which keys there are, or which one was probably meant. */
static void read_unknown_key(struct reader *reader, const struct place *at, const struct key *keys)
{
    const char *names[READ_KEYS_MAX + 1];
    char list[512] = "";
    size_t n_names = 0, length = 0;
    const char *near;

    /* Nothing is compared for what nobody will be shown. */
    if (problems_are_full(reader->problems))
        return;
    for (const struct key *key = keys; key->name && n_names < READ_KEYS_MAX; key++)
        names[n_names++] = key->name;
    names[n_names] = NULL;
    for (size_t i = 0; i < n_names && length < sizeof(list); i++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", i > 0 ? ", " : "", names[i]);
    near = words_nearest(at->key, names);
    if (near)
        reader_problem_key(reader, at, "unknown key \"%s\": did you mean \"%s\"? Expected one of %s",
                           WORDS_SHOW(at->key), near, list);
    else
        reader_problem_key(reader, at, "unknown key \"%s\"; expected one of %s", WORDS_SHOW(at->key), list);
}

static const struct key *read_find_key(const struct key *keys, const char *name)
{
    for (const struct key *key = keys; key->name; key++) {
        if (strcmp(key->name, name) == 0)
            return key;
    }
    return NULL;
}

/* Only whole numbers as JSON writes them. */
static json_t *read_integer(const char *text)
{
    return text[strspn(text, "-0123456789")] == '\0' ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

/* Only decimal numbers without an exponent. */
static json_t *read_decimal(const char *text)
{
    return text[strspn(text, "-.0123456789")] == '\0' ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

/* What the environment says, as a number or a boolean where the key wants one. A new reference, NULL: out of memory. */
static json_t *read_in_type(const struct reader *reader, const struct key *key, json_t *value)
{
    enum key_storage storage = key_storage(key);
    const char *text = json_string_value(value);
    json_t *typed = NULL;

    if (!text || !expand_was(reader, value))
        return json_incref(value);
    if ((storage == STORED_NUMBER && key->limit->unit == UNIT_COUNT) || storage == STORED_INTEGER)
        typed = read_integer(text);
    else if (storage == STORED_NUMBER && key->limit->unit == UNIT_FRACTION)
        typed = read_decimal(text);
    else if (storage == STORED_BOOL || storage == STORED_SWITCH)
        typed = strcmp(text, "true") == 0 ? json_true() : strcmp(text, "false") == 0 ? json_false() : NULL;
    return typed ? typed : json_incref(value);
}

/* Whether a variable in it may hold a secret, rather than a name, a number, or where something is. */
static bool read_may_be_secret(const struct key *key)
{
    switch (key->type) {
    case KEY_TEXT:
    case KEY_PATH:
    case KEY_PATH_PATTERN:
    case KEY_PATTERN:
    case KEY_REWRITE_TO:
    case KEY_ORIGIN_FORM:
        return true;
    default:
        return false;
    }
}

static void read_of_type(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                         void *section)
{
    bool hidden = read_may_be_secret(key) && reader_hide(reader, value);

    read_functions[key->type](reader, at, value, key, section);
    if (hidden)
        reader_note_written(reader, value, *(void **)key_field(key, section));
}

void read_member(struct reader *reader, const struct place *at, json_t *value, const struct key *key, void *section)
{
    json_t *typed;

    if (key->has_flag)
        *(bool *)((char *)section + key->flag) = true;
    /* A body may be any text; all others end in a path, a name, a field or a log. */
    if (value == reader->broken || (key->type != KEY_TEXT && !expand_is_clean(reader, at, value)))
        return;
    typed = reader_memory(reader, read_in_type(reader, key, value));
    if (typed)
        read_of_type(reader, at, typed, key, section);
    json_decref(typed);
}

static void read_unknown_keys(struct reader *reader, const struct place *at, const json_t *value,
                              const struct key *keys)
{
    const char *name;
    json_t *member;

    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const struct place place = {at, name, 0};
        if (!read_find_key(keys, name))
            read_unknown_key(reader, &place, keys);
    }
}

/* In the order of the table. Once memory has run out nothing is whole any more, and nothing else is read. */
static void read_members(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                         void *section)
{
    if (!json_is_object(value)) {
        reader_problem_type(reader, at, value, "an object");
        return;
    }
    for (const struct key *key = keys; key->name && !reader->failure; key++) {
        const struct place place = {at, key->name, 0};
        json_t *member = json_object_get(value, key->name);
        if (member)
            read_member(reader, &place, member, key, section);
        else if (key->required)
            reader_problem(reader, at, "\"%s\" is missing", key->name);
    }
    read_unknown_keys(reader, at, value, keys);
}

/* Only now is everything known that a scope may ask for. */
static void read_check_scopes(struct reader *reader, const struct place *at, const json_t *value,
                              const struct key *keys, const void *section)
{
    for (const struct key *key = keys; key->name; key++) {
        const struct place place = {at, key->name, 0};
        const json_t *member = json_object_get(value, key->name);
        if (member && !key_applies(key, section))
            reader_problem_key(reader, &place, "\"%s\" %s", key->name, key->scope->sentence);
        else if (member && (key_storage(key) == STORED_SECTION || key_storage(key) == STORED_CHOICE))
            read_check_scopes(reader, &place, member, key->keys, section);
    }
}

void read_section(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                  void *section)
{
    read_members(reader, at, value, keys, section);
    if (reader->failure)
        return;
    read_check_scopes(reader, at, value, keys, section);
}

bool read_elements(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section, const char *expected)
{
    char *elements = reader_array(reader, at, value, key->size, expected, key_count(key, section));

    *(char **)key_field(key, section) = elements;
    for (size_t i = 0; elements && i < *key_count(key, section); i++) {
        if (keys_set_defaults(key->keys, elements + i * key->size) < 0)
            reader_memory(reader, NULL);
    }
    return elements && !reader->failure;
}

const char *read_element(struct reader *reader, const struct place *at, const json_t *value, const char *expected)
{
    const char *text = reader_text(reader, at, value, expected);

    return text && expand_is_clean(reader, at, value) ? text : NULL;
}

void read_inner(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section)
{
    read_members(reader, at, value, key->keys, section);
}

void read_switch(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                 void *section)
{
    if (json_is_object(value))
        read_members(reader, at, value, key->keys, section);
    else if (!json_is_boolean(value))
        reader_problem_type(reader, at, value, "true, false or an object");
    *(bool *)key_field(key, section) = !json_is_false(value);
}

/* The object stands for the value behind the last word. */
void read_choice(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                 void *section)
{
    unsigned n_words = 0;

    if (!json_is_object(value)) {
        read_word(reader, at, value, key, section);
        return;
    }
    while (key->words[n_words])
        n_words++;
    *(unsigned *)key_field(key, section) = n_words;
    read_members(reader, at, value, key->keys, section);
}
