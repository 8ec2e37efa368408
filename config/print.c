/* The way back: from a snapshot to JSON, by the tables of keys. What has no meaning or was not given is left out, and
 * an inner object in which nothing is left with it. A target that a route spells as an address stands among the others
 * under that address, whole: so it is read again as the one that it is, however many routes share it. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "config/expand.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/secret_name.h"
#include "config/value.h"

/* One run, on config_print's stack. Every json_ function here takes NULL, so that running out of memory anywhere ends
 * in print_set or print_append remembering it. */
struct printer {
    bool failed;
    bool hides;                         /* what is secret is not for whoever reads it */
    const struct written_list *written; /* the snapshot's */
};

#define PRINT_HIDDEN "[redacted]"

static void print_set(struct printer *printer, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        printer->failed = true;
}

static void print_append(struct printer *printer, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        printer->failed = true;
}

/* A string that expansion gives back. */
static json_t *print_text(const char *text)
{
    char *escaped = expand_escape(text);
    json_t *string = escaped ? json_string(escaped) : NULL;

    free(escaped);
    return string;
}

/* A text that may have a variable in it: it is shown as it is written, if at all. `value` is where the snapshot has it.
 */
static json_t *print_hideable(const struct printer *printer, const void *value, const char *text)
{
    const char *written = written_find(printer->written, value);

    if (!written)
        return print_text(text);
    return json_string(printer->hides ? PRINT_HIDDEN : written);
}

static json_t *print_number(const struct limit *limit, const void *field)
{
    uint64_t value = limit_fetch(limit, field);
    char text[VALUE_BYTES];

    value_format(value, limit->unit, text);
    if (limit->unit == UNIT_COUNT || limit->unit == UNIT_FRACTION)
        return json_loads(text, JSON_DECODE_ANY, NULL);
    return json_string(text);
}

static json_t *print_texts(struct printer *printer, char *const *texts)
{
    json_t *array = json_array();

    for (; *texts; texts++)
        print_append(printer, array, print_text(*texts));
    return array;
}

static json_t *print_word_set(struct printer *printer, const char *const *words, unsigned set)
{
    json_t *array = json_array();

    for (unsigned i = 0; words[i]; i++)
        if (set >> i & 1)
            print_append(printer, array, json_string(words[i]));
    return array;
}

static json_t *print_template(const struct printer *printer, const struct template *template)
{
    const char *written = written_find(printer->written, template);
    char *spelt;
    json_t *string;

    if (written)
        return json_string(printer->hides ? PRINT_HIDDEN : written);
    spelt = template_spell(template);
    string = spelt ? json_string(spelt) : NULL;

    free(spelt);
    return string;
}

static json_t *print_pattern(const struct printer *printer, const struct pattern *pattern)
{
    return print_hideable(printer, pattern, pattern_text(pattern));
}

static bool print_begins_secretly(const struct template *template)
{
    return template->n_pieces > 0 && template->pieces[0].kind == TEMPLATE_LITERAL &&
           secret_name_begins(template->pieces[0].text.data);
}

/* Whether the value of a field, or of a parameter, is not shown: it comes from a variable or a file, or is a key. */
static bool print_hides(const struct printer *printer, const char *name, const struct template *value, bool secret)
{
    return printer->hides && (secret || secret_name_is_one(name) || (value && print_begins_secretly(value)));
}

static bool print_hides_condition(const struct printer *printer, const struct condition *condition)
{
    switch (condition->kind) {
    case CONDITION_EQUALS:
        return print_hides(printer, condition->name, condition->value, condition->secret);
    case CONDITION_FITS:
        return print_hides(printer, condition->name, NULL, condition->secret);
    case CONDITION_ABSENT:
    case CONDITION_PRESENT:
        break;
    }
    return false;
}

static json_t *print_condition(const struct printer *printer, const struct condition *condition)
{
    if (print_hides_condition(printer, condition))
        return json_string(PRINT_HIDDEN);
    switch (condition->kind) {
    case CONDITION_EQUALS:
        return print_template(printer, condition->value);
    case CONDITION_FITS:
        return json_pack("{s:o*}", "regex", print_pattern(printer, condition->pattern));
    case CONDITION_ABSENT:
    case CONDITION_PRESENT:
        break;
    }
    return json_pack("{s:b}", "present", condition->kind == CONDITION_PRESENT);
}

static json_t *print_conditions(struct printer *printer, const struct condition *conditions, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++)
        print_set(printer, object, conditions[i].name, print_condition(printer, &conditions[i]));
    return object;
}

/* References as they were written. */
static json_t *print_edits(struct printer *printer, const struct edit_list *list)
{
    json_t *object = json_object();

    for (size_t i = 0; i < list->n_items; i++) {
        const struct edit *edit = &list->items[i];
        bool hides = print_hides(printer, edit->name, edit->value, edit->secret);

        print_set(printer, object, edit->name,
                  hides ? json_string(PRINT_HIDDEN) : print_template(printer, edit->value));
    }
    return object;
}

static json_t *print_value(const struct printer *printer, const struct json_value *value)
{
    switch (value->kind) {
    case JSON_VALUE_NULL:
        return json_null();
    case JSON_VALUE_FALSE:
        return json_false();
    case JSON_VALUE_TRUE:
        return json_true();
    case JSON_VALUE_INTEGER:
        return json_integer((json_int_t)value->integer);
    case JSON_VALUE_STRING:
        return print_hideable(printer, value->text, value->text);
    case JSON_VALUE_EMPTY_ARRAY:
        return json_array();
    case JSON_VALUE_EMPTY_OBJECT:
        break;
    }
    return json_object();
}

static json_t *print_values(struct printer *printer, const struct json_value *values, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        print_append(printer, array, print_value(printer, &values[i]));
    return array;
}

static json_t *print_section(struct printer *printer, const struct key *keys, void *section);

static json_t *print_choice(struct printer *printer, const struct key *key, void *section)
{
    unsigned chosen = *(unsigned *)key_field(key, section), n_words = 0;

    while (key->words[n_words])
        n_words++;
    return chosen < n_words ? json_string(key->words[chosen]) : print_section(printer, key->keys, section);
}

static json_t *print_array(struct printer *printer, const struct key *key, char *elements, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        print_append(printer, array, print_section(printer, key->keys, elements + i * key->size));
    return array;
}

static json_t *print_map(struct printer *printer, const struct key *key, char *elements, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++) {
        const char *name = *(char **)(void *)(elements + i * key->size);

        print_set(printer, object, name, print_section(printer, key->keys, elements + i * key->size));
    }
    return object;
}

/* Whether the field holds something to print. Names that were made up are not valid ones: they come back by themselves.
 */
static bool print_is_given(const struct key *key, void *section)
{
    const void *field = key_field(key, section);
    const char *text;

    switch (key_storage(key)) {
    case STORED_NOTHING:
        return false;
    case STORED_NAME:
        text = *(char *const *)field;
        return text && value_is_name(text);
    case STORED_TEXT:
    case STORED_TEXTS:
    case STORED_TARGET:
    case STORED_PATTERN:
    case STORED_TEMPLATE:
        return *(void *const *)field;
    case STORED_OWNER:
        return *(const uint32_t *)field != OWNER_UNCHANGED;
    case STORED_EDITS:
        return ((const struct edit_list *)field)->n_items > 0;
    case STORED_CONDITIONS:
    case STORED_VALUE:
    case STORED_VALUES:
    case STORED_ARRAY:
        return *key_count(key, section) > 0;
    default:
        return true;
    }
}

static json_t *print_key(struct printer *printer, const struct key *key, void *section)
{
    void *field = key_field(key, section);

    switch (key_storage(key)) {
    case STORED_NUMBER:
        return print_number(key->limit, field);
    case STORED_BOOL:
        return json_boolean(*(bool *)field);
    case STORED_WORD:
        return json_string(key->words[*(unsigned *)field]);
    case STORED_WORD_SET:
        return print_word_set(printer, key->words, *(unsigned *)field);
    case STORED_NAME:
    case STORED_TEXT:
        return print_hideable(printer, *(char **)field, *(char **)field);
    case STORED_TEXTS:
        return print_texts(printer, *(char ***)field);
    case STORED_OWNER:
        return json_sprintf("%" PRIu32, *(uint32_t *)field);
    case STORED_INTEGER:
        return json_integer((json_int_t) * (int64_t *)field);
    case STORED_VALUE:
        return print_value(printer, *(struct json_value **)field);
    case STORED_VALUES:
        return print_values(printer, *(struct json_value **)field, *key_count(key, section));
    case STORED_IDENTITY:
        return json_integer((json_int_t) * (uint32_t *)field);
    case STORED_ADDRESS:
        return print_text(((struct address *)field)->text);
    case STORED_PATTERN:
        return print_pattern(printer, *(struct pattern **)field);
    case STORED_CONDITIONS:
        return print_conditions(printer, *(struct condition **)field, *key_count(key, section));
    case STORED_TEMPLATE:
        return print_template(printer, *(struct template **)field);
    case STORED_EDITS:
        return print_edits(printer, field);
    case STORED_TARGET:
        return print_text((*(const struct target_config **)field)->name);
    case STORED_CHOICE:
        return print_choice(printer, key, section);
    case STORED_SWITCH:
        return *(bool *)field ? print_section(printer, key->keys, section) : json_false();
    case STORED_SECTION:
        return print_section(printer, key->keys, section);
    case STORED_ARRAY:
        return print_array(printer, key, *(char **)field, *key_count(key, section));
    case STORED_MAP:
        return print_map(printer, key, *(char **)field, *key_count(key, section));
    case STORED_NOTHING:
        break;
    }
    return NULL;
}

static json_t *print_section(struct printer *printer, const struct key *keys, void *section)
{
    json_t *object = json_object();

    for (const struct key *key = keys; key->name; key++) {
        bool given = !key->has_flag || *((char *)section + key->flag);
        json_t *value;
        if (!given || !key_applies(key, section) || !print_is_given(key, section))
            continue;
        value = print_key(printer, key, section);
        if (value && key_storage(key) == STORED_SECTION && json_object_size(value) == 0)
            json_decref(value);
        else
            print_set(printer, object, key->name, value);
    }
    return object;
}

/* NULL when out of memory. */
static json_t *print_document(const struct snapshot *snapshot, bool hides)
{
    struct printer printer = {.hides = hides, .written = &snapshot->written};
    /* Only read: the tables serve those who write, too. */
    json_t *document = print_section(&printer, keys_document, (void *)(uintptr_t)snapshot);

    if (!printer.failed)
        return document;
    json_decref(document);
    return NULL;
}

int config_print(const struct snapshot *snapshot, FILE *to)
{
    json_t *document = print_document(snapshot, false);
    int r = 0;

    if (!document)
        r = -ENOMEM;
    else if (json_dumpf(document, to, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0 || fputc('\n', to) == EOF)
        r = -EIO;
    json_decref(document);
    return r;
}

json_t *config_redacted(const struct snapshot *snapshot)
{
    return print_document(snapshot, true);
}
