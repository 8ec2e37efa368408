/* Values that stand for themselves. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/read.h"
#include "config/value.h"
#include "config/workers.h"
#include "proxy/base/words.h"

static void read_out_of_bounds(struct reader *reader, const struct place *at, const struct limit *limit,
                               const char *got)
{
    char minimum[VALUE_BYTES], maximum[VALUE_BYTES];

    value_format(limit->minimum, limit->unit, minimum);
    value_format(limit->maximum, limit->unit, maximum);
    reader_problem(reader, at, "%s is out of bounds; allowed is %s to %s (%s)", got, minimum, maximum, limit->sentence);
}

static void read_count(struct reader *reader, const struct place *at, const json_t *value, const struct limit *limit,
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
        read_out_of_bounds(reader, at, limit, got);
    } else {
        limit_store(limit, (uint64_t)n, out);
    }
}

/* JSON has decimals; what a double makes of one comes back as it was written when it is not long. */
static void read_fraction(struct reader *reader, const struct place *at, const json_t *value, const struct limit *limit,
                          void *out)
{
    uint64_t number = 0;
    char got[VALUE_BYTES];

    snprintf(got, sizeof(got), "%.12g", json_number_value(value));
    if (!json_is_number(value) || value_parse(got, limit->unit, &number) != VALUE_OK)
        reader_problem_type(reader, at, value, value_expected(limit->unit));
    else if (number < limit->minimum || number > limit->maximum)
        read_out_of_bounds(reader, at, limit, got);
    else
        limit_store(limit, number, out);
}

static void read_with_unit(struct reader *reader, const struct place *at, const json_t *value,
                           const struct limit *limit, void *out)
{
    bool unlimited = limit->maximum == UINT64_MAX && (limit->unit == UNIT_BYTES || limit->unit == UNIT_MEMORY);
    const char *text = json_string_value(value);
    uint64_t number = 0;
    char expected[128];

    snprintf(expected, sizeof(expected), "%s%s", value_expected(limit->unit), unlimited ? ", or \"unlimited\"" : "");
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
        read_out_of_bounds(reader, at, limit, WORDS_SHOW(text));
        break;
    }
}

void read_limit(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section)
{
    if (key->limit->unit == UNIT_COUNT)
        read_count(reader, at, value, key->limit, key_field(key, section));
    else if (key->limit->unit == UNIT_FRACTION)
        read_fraction(reader, at, value, key->limit, key_field(key, section));
    else
        read_with_unit(reader, at, value, key->limit, key_field(key, section));
}

void read_workers(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                  void *section)
{
    const char *text = json_string_value(value);

    if (text && strcmp(text, "auto") == 0) {
        *(uint32_t *)key_field(key, section) = workers_auto();
        reader->snapshot->has_auto_workers = true;
    } else if (text) {
        reader_problem_type(reader, at, value, "an integer or \"auto\"");
    } else {
        read_limit(reader, at, value, key, section);
    }
}

void read_bool(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    if (json_is_boolean(value))
        *(bool *)key_field(key, section) = json_is_true(value);
    else
        reader_problem_type(reader, at, value, "true or false");
}

/* "\"a\", \"b\" or \"c\"" */
static void read_list_words(const struct key *key, char *out, size_t size)
{
    const char *const *words = key->words;
    size_t length = 0;

    for (size_t i = 0; words[i] && length < size; i++) {
        const char *between = i == 0 ? "" : words[i + 1] || key->keys ? ", " : " or ";
        length += (size_t)snprintf(out + length, size - length, "%s\"%s\"", between, words[i]);
    }
    if (key->keys && length < size)
        snprintf(out + length, size - length, " or an object");
}

void read_word(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    char expected[128];
    const char *text;

    read_list_words(key, expected, sizeof(expected));
    text = reader_text(reader, at, value, expected);
    for (unsigned i = 0; text && key->words[i]; i++) {
        if (strcmp(text, key->words[i]) == 0) {
            *(unsigned *)key_field(key, section) = i;
            return;
        }
    }
    if (text)
        reader_problem_type(reader, at, value, expected);
}

void read_word_set(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section)
{
    struct place place = {.parent = at};
    json_t *seen = json_object(), *member;
    char expected[512];
    unsigned set = 0, word = 0;

    read_list_words(key, expected, sizeof(expected));
    if (!json_is_array(value))
        reader_problem(reader, at, "expected an array of %s", expected);
    json_array_foreach(value, place.index, member)
    {
        const struct key one = {.words = key->words};
        const char *text = json_is_string(member) ? read_element(reader, &place, member, expected) : NULL;

        read_word(reader, &place, member, &one, &word);
        if (text && reader_unique(reader, &place, seen, text, "word"))
            set |= 1u << word;
    }
    json_decref(seen);
    *(unsigned *)key_field(key, section) = set;
}

void read_ignored(struct reader *reader, const struct place *at, const json_t *value, const struct key *key UNUSED,
                  void *section UNUSED)
{
    reader_text(reader, at, value, "a string");
}

void read_text(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    const char *text = reader_text(reader, at, value, "a string");

    if (text)
        reader_copy(reader, text, key_field(key, section));
}

void read_name(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    const char *name = reader_text(reader, at, value, "a name");

    if (name && !value_is_name(name))
        reader_problem_type(reader, at, value, "a name of 1 to 64 letters, digits, \"_\", \".\" or \"-\"");
    else if (name)
        reader_copy(reader, name, key_field(key, section));
}

void read_file(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    const char *path = reader_text(reader, at, value, "an absolute path");
    int fd;

    if (!path)
        return;
    if (path[0] != '/') {
        reader_problem_type(reader, at, value, "an absolute path");
        return;
    }
    reader_copy(reader, path, key_field(key, section));
    /* Opened rather than asked about, so that what is told is what libcurl will meet; a FIFO must not block us. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        reader_miss_file(reader, at, path);
    else
        close(fd);
}

void read_log_place(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    static const char expected[] = "\"stdout\", \"stderr\" or an absolute path";
    const char *text = reader_text(reader, at, value, expected);

    if (text && text[0] != '/' && strcmp(text, "stdout") != 0 && strcmp(text, "stderr") != 0)
        reader_problem_type(reader, at, value, expected);
    else if (text)
        reader_copy(reader, text, key_field(key, section));
}

/* NULL unless it is one for this list. The caller owns it. */
static char *read_one_text(struct reader *reader, const struct place *at, const json_t *value, json_t *seen,
                           const struct read_texts_kind *kind)
{
    const char *text = read_element(reader, at, value, kind->element);
    const char *wrong = text ? kind->check(text) : NULL;
    char *copy = NULL;

    if (wrong)
        reader_problem(reader, at, "\"%s\" %s", WORDS_SHOW(text), wrong);
    else if (text)
        reader_copy(reader, text, &copy);
    if (copy && kind->to_lower_case)
        read_to_lower_case(copy);
    if (copy && reader_unique(reader, at, seen, copy, kind->what))
        return copy;
    free(copy);
    return NULL;
}

void read_texts(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section, const struct read_texts_kind *kind)
{
    struct place place = {.parent = at};
    json_t *seen, *member;
    char **texts;

    if (!json_is_array(value)) {
        reader_problem_type(reader, at, value, kind->array);
        return;
    }
    if (json_array_size(value) == 0 && !kind->may_be_empty)
        reader_problem(reader, at, "expected %s, got an empty array", kind->array);
    texts = reader_memory(reader, calloc(json_array_size(value) + 1, sizeof(*texts)));
    *(char ***)key_field(key, section) = texts;
    seen = reader_memory(reader, json_object());
    json_array_foreach(texts ? value : NULL, place.index, member)
    {
        *texts = read_one_text(reader, &place, member, seen, kind);
        texts += *texts != NULL;
    }
    json_decref(seen);
}
