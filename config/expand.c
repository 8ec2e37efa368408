/* Expansion happens once, on the tree and before anything is read:
 *
 *   text      = *( literal / "$${" / reference / late )
 *   reference = "${" NAME "}" / "${" NAME ":-" text "}"
 *   late      = "${" NAME "." NAME "}" / "${file:" text "}"
 *
 * A default is a text again, up to the "}" that closes it; braces of its own come in pairs. Only what is needed is
 * looked up, but all of it has to be well-formed.
 *
 * What comes out is spelt as a template, with its late references as they are and every literal "${" escaped, even one
 * that two variables make together; without late references the escapes are taken out again. */
#include "config/expand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/words.h"
#include "proxy/http/template.h"

#define EXPAND_NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define EXPAND_NAME_MAX 255

/* One string being expanded. */
struct expansion {
    struct reader *reader;  /* borrowed */
    const struct place *at; /* borrowed */
    FILE *out;              /* memory stream */
    size_t n_references, n_late;
    char last;                         /* the last byte that was written */
    char control[EXPAND_NAME_MAX + 1]; /* the first variable with a control character in its value; "": none */
};

/* Where the first control character is; NULL: nowhere. */
static const char *expand_find_control(const char *text, unsigned *ret_code)
{
    while (*text && words_control_length(text, ret_code) == 0)
        text++;
    return *text ? text : NULL;
}

static bool expand_write(struct expansion *expansion, bool wanted, const char *text, size_t length)
{
    if (!wanted)
        return true;
    expansion->reader->n_expanded_bytes += length;
    if (expansion->reader->n_expanded_bytes > EXPAND_BYTES_MAX) {
        reader_problem(expansion->reader, expansion->at, "the file expands to more than %zu MiB",
                       EXPAND_BYTES_MAX >> 20);
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '{' && expansion->last == '$')
            putc_unlocked('$', expansion->out);
        putc_unlocked(text[i], expansion->out);
        expansion->last = text[i];
    }
    return true;
}

static bool expand_refuse(struct expansion *expansion, const char *wrong)
{
    reader_problem(expansion->reader, expansion->at, "%s (a literal \"${\" is written \"$${\")", wrong);
    return false;
}

/* Writes the value of a variable. */
static bool expand_variable(struct expansion *expansion, const char *name, const char *value)
{
    unsigned code;

    if (!value) {
        reader_problem(expansion->reader, expansion->at,
                       "the environment variable %s is not set, and no default is given (\"${%s:-default}\")",
                       WORDS_SHOW(name), WORDS_SHOW(name));
        return false;
    }
    if (expansion->control[0] == '\0' && expand_find_control(value, &code))
        memcpy(expansion->control, name, strlen(name) + 1);
    return expand_write(expansion, true, value, strlen(value));
}

/* ---- late references ---- */

/* Writes one as it is. */
static bool expand_write_late(struct expansion *expansion, bool wanted, struct text name)
{
    if (!wanted)
        return true;
    if (expansion->last == '$')
        return expand_refuse(expansion, "a \"$\" in front of \"${\" would make that a literal");
    fprintf(expansion->out, "${%.*s}", (int)name.length, name.data);
    expansion->last = '}';
    expansion->n_late++;
    return true;
}

/* Says which ones there are, or which one was probably meant. */
static bool expand_refuse_late(struct expansion *expansion, const char *name)
{
    const char *names[N_TEMPLATE_KINDS];
    const char *near;
    char list[256] = "";
    size_t n = 0, length = 0;

    for (unsigned kind = TEMPLATE_FILE; kind < N_TEMPLATE_KINDS; kind++)
        names[n++] = template_name((enum template_kind)kind);
    names[n] = NULL;
    for (size_t i = 0; i < n && length < sizeof(list); i++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s${%s}", i > 0 ? ", " : "", names[i]);
    near = words_nearest(name, names);
    if (near)
        reader_problem(expansion->reader, expansion->at, "unknown reference \"${%s}\": did you mean \"${%s}\"?",
                       WORDS_SHOW(name), near);
    else
        reader_problem(expansion->reader, expansion->at, "unknown reference \"${%s}\"; expected one of %s",
                       WORDS_SHOW(name), list);
    return false;
}

/* Takes "peer.uid}". */
static bool expand_late(struct expansion *expansion, const char **text, size_t length, bool wanted)
{
    char name[EXPAND_NAME_MAX + 1];

    if (length > EXPAND_NAME_MAX || (*text)[length] == '\0')
        return expand_refuse(expansion, "\"${\" without \"}\"");
    memcpy(name, *text, length);
    name[length] = '\0';
    if (template_kind_of(text_of(name)) == TEMPLATE_LITERAL)
        return expand_refuse_late(expansion, name);
    if ((*text)[length] != '}')
        return expand_refuse(expansion, "references that a request answers have no defaults");
    *text += length + 1;
    return expand_write_late(expansion, wanted, text_of(name));
}

static bool expand_text(struct expansion *expansion, const char **text, unsigned depth, bool wanted);

/* What a path of a file must be to stand in a template. */
static bool expand_check_file(struct expansion *expansion, const char *path)
{
    if (path[0] != '/')
        return expand_refuse(expansion, "\"${file:...}\" needs an absolute path");
    if (path[strcspn(path, "${}")] != '\0')
        return expand_refuse(expansion, "the path in \"${file:...}\" may have neither braces nor \"$\"");
    return true;
}

/* Takes "/path}", in which variables may stand. */
static bool expand_file(struct expansion *expansion, const char **text, unsigned depth, bool wanted)
{
    struct expansion inner = {.reader = expansion->reader, .at = expansion->at};
    char *path = NULL, *name = NULL;
    size_t length = 0;
    bool good;

    inner.out = open_memstream(&path, &length);
    if (!inner.out)
        return reader_memory(expansion->reader, NULL);
    good = expand_text(&inner, text, depth + 1, wanted);
    if (ferror(inner.out) | (fclose(inner.out) != 0))
        good = reader_memory(expansion->reader, NULL);
    good = good && (!wanted || expand_check_file(expansion, path));
    if (good && wanted && asprintf(&name, "file:%s", path) < 0)
        good = reader_memory(expansion->reader, name = NULL);
    if (good && expansion->control[0] == '\0')
        memcpy(expansion->control, inner.control, sizeof(inner.control));
    good = good && expand_write_late(expansion, wanted, text_of(name));
    *text += good;
    free(path);
    free(name);
    return good;
}

/* ---- variables ---- */

/* Takes a name up to the "}" or ":-" behind it. */
static bool expand_name(struct expansion *expansion, const char **text, char name[EXPAND_NAME_MAX + 1])
{
    size_t length = strspn(*text, EXPAND_NAME_CHARACTERS);
    const char *behind = *text + length;

    if (*behind == '\0')
        return expand_refuse(expansion, "\"${\" without \"}\"");
    if (length == 0 || length > EXPAND_NAME_MAX || strchr("0123456789", (*text)[0]) ||
        (*behind != '}' && strncmp(behind, ":-", 2) != 0))
        return expand_refuse(expansion, "expected \"${NAME}\" or \"${NAME:-default}\"");
    memcpy(name, *text, length);
    name[length] = '\0';
    *text = behind;
    return true;
}

/* Takes what follows "${", with its "}". */
static bool expand_reference(struct expansion *expansion, const char **text, unsigned depth, bool wanted)
{
    size_t length = strspn(*text, EXPAND_NAME_CHARACTERS ".");
    char name[EXPAND_NAME_MAX + 1];
    bool use_default = false;
    const char *value;

    if (strncmp(*text, "file:", 5) == 0) {
        *text += 5;
        return expand_file(expansion, text, depth, wanted);
    }
    if (memchr(*text, '.', length))
        return expand_late(expansion, text, length, wanted);
    if (!expand_name(expansion, text, name))
        return false;
    expansion->n_references++;
    value = getenv(name);
    if (**text == ':') {
        use_default = !value || value[0] == '\0';
        *text += 2;
        if (!expand_text(expansion, text, depth + 1, wanted && use_default))
            return false;
    }
    ++*text;
    return !wanted || use_default || expand_variable(expansion, name, value);
}

/* Takes what needs no expansion: up to the next "$", and inside a default only up to the next brace. */
static bool expand_literal(struct expansion *expansion, const char **text, unsigned depth, bool wanted)
{
    size_t length = 1 + strcspn(*text + 1, depth > 0 ? "${}" : "$");
    const char *from = *text;

    *text += length;
    return expand_write(expansion, wanted, from, length);
}

/* Takes a text to its end, or a default up to the "}" that closes it, which stays. */
static bool expand_text(struct expansion *expansion, const char **text, unsigned depth, bool wanted)
{
    unsigned n_open = 0;
    bool good = true;

    if (depth > EXPAND_DEPTH_MAX) {
        reader_problem(expansion->reader, expansion->at, "defaults inside defaults, more than %d deep",
                       EXPAND_DEPTH_MAX);
        return false;
    }
    while (good && **text) {
        if (strncmp(*text, "$${", 3) == 0) {
            good = expand_write(expansion, wanted, "${", 2);
            *text += 3;
            n_open++;
        } else if (strncmp(*text, "${", 2) == 0) {
            *text += 2;
            good = expand_reference(expansion, text, depth, wanted);
        } else {
            if (**text == '}' && depth > 0 && n_open-- == 0)
                return true;
            n_open += **text == '{';
            good = expand_literal(expansion, text, depth, wanted);
        }
    }
    if (good && depth > 0)
        return expand_refuse(expansion, "a default without its \"}\"; braces inside a default come in pairs");
    return good;
}

static json_t *expand_broken(struct reader *reader)
{
    return json_incref((json_t *)(uintptr_t)reader->broken);
}

/* Notes that this string had a reference, and how it is written when that was to a variable. */
static int expand_note(const struct expansion *expansion, const json_t *string, const char *written)
{
    struct reader *reader = expansion->reader;
    struct expanded note = {.string = string};
    size_t n = reader->n_expanded;

    /* Grows when the number is a power of two, which stands for the capacity. */
    if ((n & (n - 1)) == 0) {
        struct expanded *grown = reallocarray(reader->expanded, n ? 2 * n : 1, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        reader->expanded = grown;
    }
    note.late = expansion->n_late > 0;
    if (expansion->n_references > 0 && !(note.written = strdup(written)))
        return -ENOMEM;
    if (expansion->control[0] != '\0' && !(note.control = strdup(expansion->control))) {
        free(note.written);
        return -ENOMEM;
    }
    reader->expanded[reader->n_expanded++] = note;
    return 0;
}

/* A template without references is a text. */
static size_t expand_unescape(char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        i += length - i >= 3 && memcmp(text + i, "$${", 3) == 0;
        text[n++] = text[i];
    }
    return n;
}

/* Returns a new reference to what shall stand in place of the string; NULL when out of memory. */
static json_t *expand_string(struct reader *reader, const struct place *at, json_t *string)
{
    struct expansion expansion = {.reader = reader, .at = at};
    const char *from = json_string_value(string);
    char *text = NULL;
    size_t length = 0;
    json_t *expanded;
    bool good;

    if (!strchr(from, '$'))
        return json_incref(string);
    expansion.out = open_memstream(&text, &length);
    if (!expansion.out)
        return NULL;
    good = expand_text(&expansion, &from, 0, true);
    if (ferror(expansion.out) | (fclose(expansion.out) != 0)) {
        free(text);
        return NULL;
    }
    if (expansion.n_late == 0)
        length = expand_unescape(text, length);
    expanded = good ? json_stringn(text, length) : expand_broken(reader);
    if (!expanded) {
        reader_problem(reader, at, "an environment variable that is used here is not valid UTF-8");
        expanded = expand_broken(reader);
    }
    free(text);
    if (expanded != reader->broken && expansion.n_references + expansion.n_late > 0 &&
        expand_note(&expansion, expanded, json_string_value(string)) < 0)
        reader->failure = -ENOMEM;
    return expanded;
}

static void expand_value(struct reader *reader, const struct place *at, json_t **value)
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
            expand_value(reader, &place, &replaced);
            if (json_array_set_new(*value, place.index, replaced) != 0)
                reader->failure = -ENOMEM;
        }
    } else if (json_is_object(*value)) {
        json_object_foreach(*value, place.key, member)
        {
            json_t *replaced = json_incref(member);
            expand_value(reader, &place, &replaced);
            if (json_object_set_new(*value, place.key, replaced) != 0)
                reader->failure = -ENOMEM;
        }
    }
}

void expand_tree(struct reader *reader, json_t **value)
{
    expand_value(reader, NULL, value);
    reader_sort_expanded(reader);
}

void expand_free(struct reader *reader)
{
    for (size_t i = 0; i < reader->n_expanded; i++) {
        free(reader->expanded[i].control);
        free(reader->expanded[i].written);
    }
    free(reader->expanded);
    reader->expanded = NULL;
    reader->n_expanded = 0;
}

bool expand_was(const struct reader *reader, const json_t *string)
{
    return reader_expanded(reader, string) != NULL;
}

bool expand_is_clean(struct reader *reader, const struct place *at, const json_t *string)
{
    const char *text = json_string_value(string);
    const struct expanded *expanded;
    const char *control;
    unsigned code;

    control = text ? expand_find_control(text, &code) : NULL;
    if (!control)
        return true;
    expanded = reader_expanded(reader, string);
    if (expanded && expanded->control)
        reader_problem(reader, at,
                       "the control character U+%04X (byte %zu) is not allowed here; it comes from the environment "
                       "variable %s",
                       code, (size_t)(control - text) + 1, WORDS_SHOW(expanded->control));
    else
        reader_problem(reader, at, "the control character U+%04X (byte %zu) is not allowed here", code,
                       (size_t)(control - text) + 1);
    return false;
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
