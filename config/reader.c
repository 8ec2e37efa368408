#include "config/reader.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/digest.h"
#include "proxy/base/words.h"

void *reader_memory(struct reader *reader, void *pointer)
{
    if (!pointer)
        reader->failure = -ENOMEM;
    return pointer;
}

/* Writes it to the end that is in `out`, unless that is NULL. Returns its length. */
static size_t reader_pointer_write(const struct place *at, char *out)
{
    size_t n = at->parent ? reader_pointer_write(at->parent, out) : 0;
    char index[24] = "";

    if (!at->key)
        snprintf(index, sizeof(index), "%zu", at->index);
    if (out)
        out[n] = '/';
    n++;
    for (const char *c = at->key ? at->key : index; *c; c++) {
        bool escaped = *c == '~' || *c == '/';

        if (out && escaped)
            memcpy(out + n, *c == '~' ? "~0" : "~1", 2);
        else if (out)
            out[n] = *c;
        n += escaped ? 2 : 1;
    }
    return n;
}

char *reader_pointer(struct reader *reader, const struct place *at)
{
    size_t length = at ? reader_pointer_write(at, NULL) : 0;
    char *pointer = reader_memory(reader, malloc(length + 1));

    if (!pointer)
        return NULL;
    if (at)
        reader_pointer_write(at, pointer);
    pointer[length] = '\0';
    return pointer;
}

/* How problems show a value, and how they are to show it; false: as it is. */
static bool reader_is_hidden(const struct reader *reader, char shown[WORDS_SHOWN_BYTES],
                             char written[WORDS_SHOWN_BYTES])
{
    const struct expanded *expanded = reader->hidden ? reader_expanded(reader, reader->hidden) : NULL;

    if (!expanded || !expanded->written)
        return false;
    words_show(json_string_value(expanded->string), shown);
    words_show(expanded->written, written);
    return shown[0] != '\0';
}

/* The message without what variables hold. The caller owns it; NULL when out of memory. */
static char *reader_hide_in(const struct reader *reader, const char *message)
{
    char shown[WORDS_SHOWN_BYTES], written[WORDS_SHOWN_BYTES];
    const char *at = message, *found;
    char *hidden = NULL;
    size_t length = 0;
    FILE *out;

    if (!reader_is_hidden(reader, shown, written))
        return strdup(message);
    out = open_memstream(&hidden, &length);
    if (!out)
        return NULL;
    while ((found = strstr(at, shown))) {
        fprintf(out, "%.*s%s", (int)(found - at), at, written);
        at = found + strlen(shown);
    }
    fputs(at, out);
    if (ferror(out) | (fclose(out) != 0)) {
        free(hidden);
        return NULL;
    }
    return hidden;
}

PRINTF_LIKE(4, 0)
static int reader_add_problem(struct reader *reader, struct position position, const char *pointer, const char *format,
                              va_list args)
{
    char *message = NULL, *hidden;
    int r = -ENOMEM;

    if (!reader->hidden)
        return problems_add_v(reader->problems, position, pointer, format, args);
    if (vasprintf(&message, format, args) < 0)
        return -ENOMEM;
    hidden = reader_hide_in(reader, message);
    if (hidden)
        r = problems_add(reader->problems, position, pointer, "%s", hidden);
    free(hidden);
    free(message);
    return r;
}

PRINTF_LIKE(4, 0)
static void reader_problem_v(struct reader *reader, const char *pointer, bool key, const char *format, va_list args)
{
    struct position position;

    /* Finding the position costs a walk through the file, so not for what nobody will be shown. */
    if (!pointer || problems_are_full(reader->problems))
        return;
    position = position_of_pointer(reader->text, reader->length, pointer, key);
    if (reader_add_problem(reader, position, pointer, format, args) < 0)
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

void reader_miss_file(struct reader *reader, const struct place *at, const char *path)
{
    reader_problem(reader, at, "cannot read %s as uid %u: %s", WORDS_SHOW(path), (unsigned)geteuid(), strerror(errno));
    if (problems_miss_file(reader->problems, path) < 0)
        reader->failure = -ENOMEM;
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

static int reader_compare_expanded(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct expanded *)a)->string;
    uintptr_t right = (uintptr_t)((const struct expanded *)b)->string;

    return (left > right) - (left < right);
}

void reader_sort_expanded(struct reader *reader)
{
    if (reader->n_expanded > 0)
        qsort(reader->expanded, reader->n_expanded, sizeof(*reader->expanded), reader_compare_expanded);
}

const struct expanded *reader_expanded(const struct reader *reader, const json_t *string)
{
    const struct expanded key = {.string = string};

    if (reader->n_expanded == 0)
        return NULL;
    return bsearch(&key, reader->expanded, reader->n_expanded, sizeof(key), reader_compare_expanded);
}

bool reader_hide(struct reader *reader, const json_t *string)
{
    const struct expanded *expanded = reader_expanded(reader, string);

    reader->hidden = expanded && expanded->written ? string : NULL;
    return reader->hidden;
}

void reader_note_written(struct reader *reader, const json_t *string, const void *value)
{
    const struct expanded *expanded = reader_expanded(reader, string);

    if (value && expanded && expanded->written && written_add(&reader->snapshot->written, value, expanded->written) < 0)
        reader->failure = -ENOMEM;
}

bool reader_is_late(const struct reader *reader, const json_t *string)
{
    const struct expanded *expanded = reader_expanded(reader, string);

    return expanded && expanded->late;
}

const char *reader_text(struct reader *reader, const struct place *at, const json_t *value, const char *expected)
{
    if (value == reader->broken)
        return NULL;
    if (!json_is_string(value))
        reader_problem_type(reader, at, value, expected);
    if (reader_is_late(reader, value)) {
        reader_problem(reader, at,
                       "\"%s\" refers to what is known only when a request comes, which is for values of "
                       "\"request_headers\" and \"response_headers\" and for the \"location\" of a redirect",
                       WORDS_SHOW(json_string_value(value)));
        return NULL;
    }
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

static int reader_take_digest(const char *text, size_t length, void *closure)
{
    uint64_t *digest = closure;

    *digest = digest_bytes(*digest, text, length);
    return 0;
}

uint64_t reader_digest(struct reader *reader, const json_t *value, uint64_t seed)
{
    uint64_t digest = seed;

    if (json_dump_callback(value, reader_take_digest, &digest, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0)
        reader->failure = -ENOMEM;
    return digest;
}
