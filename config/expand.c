#include "config/expand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/words.h"

#define EXPAND_NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* One string being expanded. */
struct expansion {
    struct reader *reader;  /* borrowed */
    const struct place *at; /* borrowed */
    FILE *out;              /* memory stream */
};

static bool expand_write(struct expansion *expansion, const char *text, size_t length)
{
    expansion->reader->n_expanded_bytes += length;
    if (expansion->reader->n_expanded_bytes > EXPAND_BYTES_MAX) {
        reader_problem(expansion->reader, expansion->at, "the file expands to more than %zu MiB",
                       EXPAND_BYTES_MAX >> 20);
        return false;
    }
    fwrite(text, 1, length, expansion->out);
    return true;
}

/* Expands what stands between "${" and "}". */
static bool expand_reference(struct expansion *expansion, const char *inside, size_t length)
{
    size_t n_name = strspn(inside, EXPAND_NAME_CHARACTERS);
    bool has_default = n_name + 2 <= length && strncmp(inside + n_name, ":-", 2) == 0;
    char name[256];
    const char *value;

    if (length >= 5 && strncmp(inside, "file:", 5) == 0) {
        reader_problem(expansion->reader, expansion->at, "\"${file:...}\" is not supported by this version");
        return false;
    }
    if (n_name == 0 || n_name >= sizeof(name) || strchr("0123456789", inside[0]) ||
        (n_name != length && !has_default)) {
        reader_problem(expansion->reader, expansion->at,
                       "expected \"${NAME}\" or \"${NAME:-default}\" (a literal \"${\" is written \"$${\")");
        return false;
    }
    memcpy(name, inside, n_name);
    name[n_name] = '\0';
    value = getenv(name);
    if (has_default && (!value || value[0] == '\0'))
        return expand_write(expansion, inside + n_name + 2, length - n_name - 2);
    if (!value) {
        reader_problem(expansion->reader, expansion->at,
                       "the environment variable %s is not set, and no default is given (\"${%s:-default}\")",
                       WORDS_SHOW(name), WORDS_SHOW(name));
        return false;
    }
    return expand_write(expansion, value, strlen(value));
}

static bool expand_text(struct expansion *expansion, const char *text)
{
    while (*text) {
        size_t literal = strcspn(text, "$");
        size_t length;
        if (literal > 0) {
            if (!expand_write(expansion, text, literal))
                return false;
            text += literal;
        } else if (strncmp(text, "$${", 3) == 0) {
            if (!expand_write(expansion, "${", 2))
                return false;
            text += 3;
        } else if (strncmp(text, "${", 2) != 0) {
            if (!expand_write(expansion, text++, 1))
                return false;
        } else {
            length = strcspn(text + 2, "}");
            if (text[2 + length] != '}') {
                reader_problem(expansion->reader, expansion->at,
                               "\"${\" without \"}\" (a literal \"${\" is written \"$${\")");
                return false;
            }
            if (!expand_reference(expansion, text + 2, length))
                return false;
            text += 2 + length + 1;
        }
    }
    return true;
}

static json_t *expand_broken(struct reader *reader)
{
    return json_incref((json_t *)(uintptr_t)reader->broken);
}

/* Returns a new reference to what shall stand in place of the string; NULL when out of memory. */
static json_t *expand_string(struct reader *reader, const struct place *at, json_t *string)
{
    struct expansion expansion = {.reader = reader, .at = at};
    char *text = NULL;
    size_t length = 0;
    json_t *expanded;
    bool good;

    if (!strchr(json_string_value(string), '$'))
        return json_incref(string);
    expansion.out = open_memstream(&text, &length);
    if (!expansion.out)
        return NULL;
    good = expand_text(&expansion, json_string_value(string));
    if (ferror(expansion.out) | (fclose(expansion.out) != 0)) {
        free(text);
        return NULL;
    }
    expanded = good ? json_stringn(text, length) : expand_broken(reader);
    if (!expanded) {
        reader_problem(reader, at, "an environment variable that is used here is not valid UTF-8");
        expanded = expand_broken(reader);
    }
    free(text);
    return expanded;
}

void expand_tree(struct reader *reader, const struct place *at, json_t **value)
{
    struct place place = {.parent = at};
    json_t *member;

    if (json_is_string(*value)) {
        json_t *expanded = reader_memory(reader, expand_string(reader, at, *value));
        if (expanded) {
            json_decref(*value);
            *value = expanded;
        }
    } else if (json_is_array(*value)) {
        json_array_foreach(*value, place.index, member)
        {
            json_t *replaced = json_incref(member);
            expand_tree(reader, &place, &replaced);
            if (json_array_set_new(*value, place.index, replaced) != 0)
                reader->failure = -ENOMEM;
        }
    } else if (json_is_object(*value)) {
        json_object_foreach(*value, place.key, member)
        {
            json_t *replaced = json_incref(member);
            expand_tree(reader, &place, &replaced);
            if (json_object_set_new(*value, place.key, replaced) != 0)
                reader->failure = -ENOMEM;
        }
    }
}

char *expand_escape(const char *text)
{
    /* At worst one more byte for every "${". */
    char *escaped = malloc(strlen(text) + strlen(text) / 2 + 1);
    char *to = escaped;

    if (!escaped)
        return NULL;
    for (; *text; text++) {
        if (strncmp(text, "${", 2) == 0)
            *to++ = '$';
        *to++ = *text;
    }
    *to = '\0';
    return escaped;
}
