/* Writes the tables of keys as JSON, an object for each key that this version has: what schema.json and the reference
 * in config/README.md are held against. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "config/keys.h"
#include "config/value.h"

static json_t *number_of(const struct limit *limit, uint64_t value)
{
    char text[VALUE_BYTES];

    value_format(value, limit->unit, text);
    if (limit->unit == UNIT_COUNT || limit->unit == UNIT_FRACTION)
        return json_loads(text, JSON_DECODE_ANY, NULL);
    return json_string(text);
}

static void put_limit(json_t *row, const struct key *key)
{
    if (!key->required && !key->inherited)
        json_object_set_new(row, "default", number_of(key->limit, key->limit->fallback));
    json_object_set_new(row, "minimum", number_of(key->limit, key->limit->minimum));
    json_object_set_new(row, "maximum", number_of(key->limit, key->limit->maximum));
}

static json_t *words_in(const struct key *key)
{
    json_t *array = json_array();

    for (const char *const *word = key->words; *word; word++)
        if (strstr(key->fallback, *word))
            json_array_append_new(array, json_string(*word));
    return array;
}

static void put_default(json_t *row, const struct key *key)
{
    enum key_storage storage = key_storage(key);

    if (storage == STORED_BOOL || storage == STORED_SWITCH)
        json_object_set_new(row, "default", json_boolean(strcmp(key->fallback, "true") == 0));
    else if (storage == STORED_WORD_SET)
        json_object_set_new(row, "default", words_in(key));
    else
        json_object_set_new(row, "default", json_string(key->fallback));
}

static void put_words(json_t *row, const char *const *words)
{
    json_t *array = json_array();

    for (; *words; words++)
        json_array_append_new(array, json_string(*words));
    json_object_set_new(row, "words", array);
}

static void put_row(json_t *rows, const struct key *key, const char *path)
{
    const char *sentence = key->sentence ? key->sentence : key->limit->sentence;
    json_t *row = json_pack("{s:s, s:s, s:b, s:s}", "path", path, "type", key_type_words(key), "required",
                            key->required, "sentence", sentence);

    if (key->limit)
        put_limit(row, key);
    else if (key->fallback)
        put_default(row, key);
    if (key->words)
        put_words(row, key->words);
    json_array_append_new(rows, row);
}

/* Paths are "listeners[].limits.header", "targets.NAME.tls". */
static void put_table(json_t *rows, const struct key *keys, const char *prefix)
{
    for (const struct key *key = keys; key->name; key++) {
        enum key_storage storage = key_storage(key);
        char path[128], inside[160];

        snprintf(path, sizeof(path), "%s%s", prefix, key->name);
        put_row(rows, key, path);
        if (!key->keys)
            continue;
        snprintf(inside, sizeof(inside), "%s%s.", path,
                 storage == STORED_ARRAY ? "[]"
                 : storage == STORED_MAP ? ".NAME"
                                         : "");
        put_table(rows, key->keys, inside);
    }
}

int main(void)
{
    json_t *rows = json_array();
    int r;

    put_table(rows, keys_document, "");
    r = json_dumpf(rows, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(rows);
    return r != 0;
}
