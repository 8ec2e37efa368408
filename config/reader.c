#include "config/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/problem.h"
#include "config/value.h"
#include "proxy/base/words.h"

/* More keys than any table has. */
#define READER_KEYS_MAX 24

void *reader_memory(struct reader *reader, void *pointer)
{
    if (!pointer)
        reader->failure = -ENOMEM;
    return pointer;
}

static void reader_pointer_write(const struct place *at, FILE *to)
{
    if (!at)
        return;
    reader_pointer_write(at->parent, to);
    fputc('/', to);
    if (!at->key) {
        fprintf(to, "%zu", at->index);
        return;
    }
    for (const char *c = at->key; *c; c++) {
        if (*c == '~' || *c == '/')
            fputs(*c == '~' ? "~0" : "~1", to);
        else
            fputc(*c, to);
    }
}

char *reader_pointer(struct reader *reader, const struct place *at)
{
    char *pointer = NULL;
    size_t length;
    FILE *to = open_memstream(&pointer, &length);
    bool complete;

    if (!to)
        return reader_memory(reader, NULL);
    reader_pointer_write(at, to);
    complete = !ferror(to);
    if (fclose(to) != 0 || !complete) {
        free(pointer);
        pointer = NULL;
    }
    return reader_memory(reader, pointer);
}

PRINTF_LIKE(4, 0)
static void reader_problem_v(struct reader *reader, const char *pointer, bool key, const char *format, va_list args)
{
    struct position position;

    /* Finding the position costs a walk through the file, so not for what nobody will be shown. */
    if (!pointer || problems_are_full(reader->problems))
        return;
    position = position_of_pointer(reader->text, reader->length, pointer, key);
    if (problems_add_v(reader->problems, position, pointer, format, args) < 0)
        reader->failure = -ENOMEM;
}

void reader_problem(struct reader *reader, const struct place *at, const char *format, ...)
{
    char *pointer = reader_pointer(reader, at);
    va_list args;

    va_start(args, format);
    reader_problem_v(reader, pointer, false, format, args);
    va_end(args);
    free(pointer);
}

void reader_problem_key(struct reader *reader, const struct place *at, const char *format, ...)
{
    char *pointer = reader_pointer(reader, at);
    va_list args;

    va_start(args, format);
    reader_problem_v(reader, pointer, true, format, args);
    va_end(args);
    free(pointer);
}

void reader_problem_pointer(struct reader *reader, const char *pointer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reader_problem_v(reader, pointer, false, format, args);
    va_end(args);
}

void reader_problem_type(struct reader *reader, const struct place *at, const json_t *value, const char *expected)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        reader_problem(reader, at, "expected %s, got an object", expected);
        break;
    case JSON_ARRAY:
        reader_problem(reader, at, "expected %s, got an array", expected);
        break;
    case JSON_STRING:
        reader_problem(reader, at, "expected %s, got \"%s\"", expected, WORDS_SHOW(json_string_value(value)));
        break;
    case JSON_INTEGER:
        reader_problem(reader, at, "expected %s, got the number %" JSON_INTEGER_FORMAT, expected,
                       json_integer_value(value));
        break;
    case JSON_REAL:
        reader_problem(reader, at, "expected %s, got the number %g", expected, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        reader_problem(reader, at, "expected %s, got %s", expected, json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        reader_problem(reader, at, "expected %s, got null", expected);
        break;
    }
}

void reader_defaults(const struct key *keys, void *out)
{
    for (const struct key *key = keys; key->name; key++) {
        if (key->nested)
            reader_defaults(key->nested, out);
        else if (key->limit)
            limit_store(key->limit, key->limit->fallback, (char *)out + key->offset);
    }
}

/* Says which keys there are, or which one was probably meant. */
static void reader_unknown_key(struct reader *reader, const struct place *at, const struct key *keys)
{
    const char *names[READER_KEYS_MAX + 1];
    char list[512] = "";
    size_t n_names = 0, length = 0;
    const char *near;

    for (const struct key *key = keys; key->name && n_names < READER_KEYS_MAX; key++) {
        if (key->read)
            names[n_names++] = key->name;
    }
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

static void reader_member(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                          void *out)
{
    for (const struct key *key = keys; key->name; key++) {
        if (strcmp(key->name, at->key) != 0)
            continue;
        if (!key->read)
            reader_problem_key(reader, at, "\"%s\" is not supported by this version", key->name);
        else if (value != reader->broken)
            key->read(reader, at, value, key, (char *)out + key->offset);
        return;
    }
    reader_unknown_key(reader, at, keys);
}

void reader_object(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                   void *out)
{
    const char *name;
    json_t *member;

    if (!json_is_object(value)) {
        reader_problem_type(reader, at, value, "an object");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        struct place place = {at, name, 0};
        reader_member(reader, &place, member, keys, out);
    }
    for (const struct key *key = keys; key->name; key++) {
        if (key->required && !json_object_get(value, key->name))
            reader_problem(reader, at, "\"%s\" is missing", key->name);
    }
}

void *reader_array(struct reader *reader, const struct place *at, const json_t *value, size_t size,
                   const char *expected, size_t *ret_n)
{
    size_t n = json_array_size(value);
    void *items;

    if (!json_is_array(value)) {
        reader_problem_type(reader, at, value, expected);
        return NULL;
    }
    if (n == 0) {
        reader_problem(reader, at, "expected %s, got an empty array", expected);
        return NULL;
    }
    items = reader_memory(reader, calloc(n, size));
    if (items)
        *ret_n = n;
    return items;
}

const char *reader_text(struct reader *reader, const struct place *at, const json_t *value, const char *expected)
{
    if (value == reader->broken)
        return NULL;
    if (!json_is_string(value))
        reader_problem_type(reader, at, value, expected);
    return json_string_value(value);
}

void reader_copy(struct reader *reader, const char *text, char **field)
{
    free(*field);
    *field = reader_memory(reader, strdup(text));
}

bool reader_unique(struct reader *reader, const struct place *at, json_t *seen, const char *name, const char *what)
{
    if (json_object_get(seen, name)) {
        reader_problem(reader, at, "the %s \"%s\" is used twice", what, WORDS_SHOW(name));
        return false;
    }
    if (json_object_set_new(seen, name, json_true()) != 0)
        reader->failure = -ENOMEM;
    return true;
}

bool reader_name_is_valid(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= 64 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == length;
}

void reader_nested(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *out)
{
    reader_object(reader, at, value, key->nested, out);
}

static void reader_out_of_bounds(struct reader *reader, const struct place *at, const struct limit *limit,
                                 const char *got)
{
    char minimum[VALUE_BYTES], maximum[VALUE_BYTES];

    value_format(limit->minimum, limit->unit, minimum);
    value_format(limit->maximum, limit->unit, maximum);
    reader_problem(reader, at, "%s is out of bounds; allowed is %s to %s (%s)", got, minimum, maximum, limit->sentence);
}

static void reader_count(struct reader *reader, const struct place *at, const json_t *value, const struct limit *limit,
                         void *out)
{
    json_int_t n = json_integer_value(value);

    if (!json_is_integer(value)) {
        char expected[80];
        snprintf(expected, sizeof(expected), "an integer from %" PRIu64 " to %" PRIu64, limit->minimum, limit->maximum);
        reader_problem_type(reader, at, value, expected);
    } else if (n < 0 || (uint64_t)n < limit->minimum || (uint64_t)n > limit->maximum) {
        char got[VALUE_BYTES];
        snprintf(got, sizeof(got), "%" JSON_INTEGER_FORMAT, n);
        reader_out_of_bounds(reader, at, limit, got);
    } else {
        limit_store(limit, (uint64_t)n, out);
    }
}

static void reader_unit_expected(const struct limit *limit, char *out, size_t size)
{
    bool unlimited = limit->unit == UNIT_BYTES && limit->maximum == UINT64_MAX;

    snprintf(out, size, "%s%s", value_expected(limit->unit), unlimited ? ", or \"unlimited\"" : "");
}

void reader_limit(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *out)
{
    const struct limit *limit = key->limit;
    const char *text = json_string_value(value);
    char expected[128];
    uint64_t number = 0;

    if (limit->unit == UNIT_COUNT) {
        reader_count(reader, at, value, limit, out);
        return;
    }
    reader_unit_expected(limit, expected, sizeof(expected));
    if (!text && json_is_number(value) && limit->unit == UNIT_MODE) {
        reader_problem(reader, at, "expected %s, not a number: JSON has no octal numbers, so 660 would mean 01224",
                       expected);
        return;
    }
    switch (text ? value_parse(text, limit->unit, &number) : VALUE_MALFORMED) {
    case VALUE_MALFORMED:
        reader_problem_type(reader, at, value, expected);
        break;
    case VALUE_OK:
        if (number >= limit->minimum && number <= limit->maximum) {
            limit_store(limit, number, out);
            break;
        }
        /* fall through */
    case VALUE_HUGE:
        reader_out_of_bounds(reader, at, limit, WORDS_SHOW(text));
        break;
    }
}

void reader_bool(struct reader *reader, const struct place *at, const json_t *value, const struct key *key UNUSED,
                 void *out)
{
    if (json_is_boolean(value))
        *(bool *)out = json_is_true(value);
    else
        reader_problem_type(reader, at, value, "true or false");
}

void reader_name(struct reader *reader, const struct place *at, const json_t *value, const struct key *key UNUSED,
                 void *out)
{
    const char *name = reader_text(reader, at, value, "a name");

    if (name && !reader_name_is_valid(name))
        reader_problem_type(reader, at, value, "a name of 1 to 64 letters, digits, \"_\", \".\" or \"-\"");
    else if (name)
        reader_copy(reader, name, out);
}

void reader_absolute_path(struct reader *reader, const struct place *at, const json_t *value,
                          const struct key *key UNUSED, void *out)
{
    const char *path = reader_text(reader, at, value, "an absolute path");

    if (path && path[0] != '/')
        reader_problem_type(reader, at, value, "an absolute path");
    else if (path)
        reader_copy(reader, path, out);
}
