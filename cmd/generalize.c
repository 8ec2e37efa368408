#include "cmd/generalize.h"

#include <stdio.h>
#include <string.h>

#define IMAGE_PATTERN "[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*"
#define HEX_LEAST 12

struct word {
    struct text text;
    bool collection;
};

static const struct word words[] = {
#define COLLECTION(name) {{name, sizeof(name) - 1}, true},
#define WORD(name) {{name, sizeof(name) - 1}, false},
#include "cmd/generalize.def"
#undef COLLECTION
#undef WORD
};

static bool general_is_word(struct text segment, bool collection)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (words[i].collection == collection && text_equal(words[i].text, segment))
            return true;
    return false;
}

static size_t general_span(struct text s, const char *bytes)
{
    size_t n = 0;

    while (n < s.length && s.data[n] != '\0' && strchr(bytes, s.data[n]))
        n++;
    return n;
}

#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"
#define NAME_BYTES DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-"

static bool general_is_number(struct text s)
{
    return s.length > 0 && general_span(s, DIGITS) == s.length;
}

static bool general_is_hex(struct text s)
{
    return s.length >= HEX_LEAST && general_span(s, HEX) == s.length && general_span(s, "abcdef") < s.length;
}

static bool general_is_uuid(struct text s)
{
    static const size_t groups[] = {8, 4, 4, 4, 12};
    size_t at = 0;

    if (s.length != 36)
        return false;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (general_span((struct text){s.data + at, groups[i]}, HEX) != groups[i])
            return false;
        at += groups[i];
        if (at < s.length && s.data[at++] != '-')
            return false;
    }
    return true;
}

static bool general_is_name(struct text s)
{
    return s.length > 0 && general_span(s, NAME_BYTES) == s.length && s.data[0] != '.' && s.data[0] != '-' &&
           s.data[0] != '_';
}

/* ---- writing ---- */

struct writer {
    struct general *general;
    size_t n_pattern, n_name;
    bool full;
};

static void general_put(struct writer *writer, const char *bytes, size_t n)
{
    if (n >= GENERAL_PATTERN_BYTES - writer->n_pattern) {
        writer->full = true;
        return;
    }
    memcpy(writer->general->pattern + writer->n_pattern, bytes, n);
    writer->n_pattern += n;
    writer->general->pattern[writer->n_pattern] = '\0';
}

static void general_put_literal(struct writer *writer, struct text s)
{
    for (size_t i = 0; i < s.length; i++) {
        if (strchr("\\^$.[]|()?*+{}#", s.data[i])) {
            writer->general->plain = false;
            general_put(writer, "\\", 1);
        }
        general_put(writer, s.data + i, 1);
    }
}

/* A word of the name, as far as there is room. */
static void general_name(struct writer *writer, struct text word)
{
    char *name = writer->general->name;
    size_t n = writer->n_name;

    for (size_t i = 0; i < word.length + 1 && n < GENERAL_NAME_BYTES - 1; i++) {
        char c = i == 0 ? '-' : word.data[i - 1];
        char low = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        bool plain = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9');

        if (!plain && (n == 0 || name[n - 1] == '-'))
            continue;
        name[n++] = (char)(plain ? low : '-');
    }
    name[n] = '\0';
    writer->n_name = n;
}

static void general_put_class(struct writer *writer, const char *pattern, const char *name)
{
    writer->general->plain = false;
    general_put(writer, pattern, strlen(pattern));
    general_name(writer, text_of(name));
}

static void general_put_hex(struct writer *writer, struct text segment)
{
    char pattern[32];

    snprintf(pattern, sizeof(pattern), "[0-9a-f]{%zu}", segment.length);
    general_put_class(writer, pattern, "id");
}

static void general_segment(struct writer *writer, struct text segment, struct text before)
{
    bool named = general_is_word(before, true) && !general_is_word(segment, false);

    if (general_is_hex(segment)) {
        general_put_hex(writer, segment);
    } else if (general_is_uuid(segment)) {
        general_put_class(writer, "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "uuid");
    } else if (general_is_number(segment)) {
        general_put_class(writer, "[0-9]+", "number");
    } else if (named && general_is_name(segment)) {
        general_put_class(writer, GENERAL_NAME_PATTERN, "id");
    } else {
        general_put_literal(writer, segment);
        general_name(writer, segment);
    }
}

/* ---- reading ---- */

static struct text general_next(struct text *rest)
{
    const char *end = rest->length > 0 ? (const char *)memchr(rest->data, '/', rest->length) : NULL;
    struct text segment = {rest->data, end ? (size_t)(end - rest->data) : rest->length};
    size_t taken = segment.length + (end ? 1 : 0);

    *rest = (struct text){rest->data + taken, rest->length - taken};
    return segment;
}

/* "v1.44": what follows the point changes with every client. */
static bool general_take_version(struct text *rest, struct general *general)
{
    struct text after = *rest, version = general_next(&after), major, minor;
    const char *point;

    if (version.length < 4 || version.data[0] != 'v' || after.data == version.data + version.length)
        return false;
    point = memchr(version.data, '.', version.length);
    if (!point)
        return false;
    major = (struct text){version.data + 1, (size_t)(point - version.data) - 1};
    minor = (struct text){point + 1, version.length - major.length - 2};
    if (!general_is_number(major) || major.length > 3 || !general_is_number(minor))
        return false;
    for (size_t i = 0; i < major.length; i++)
        general->major = general->major * 10 + (unsigned)(major.data[i] - '0');
    general->versioned = true;
    *rest = after;
    return true;
}

/* Of images a name may have slashes: all up to the word behind it. */
static bool general_take_image(struct writer *writer, struct text *rest)
{
    static const char *const ends[] = {"/json", "/push", "/tag", "/history", "/get"};
    struct text name = *rest, first = general_next(&name);

    if (general_is_word(first, false) || first.length == 0 || !general_is_name((struct text){first.data, 1}))
        return false;
    name = *rest;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t n = strlen(ends[i]);

        if (name.length > n && memcmp(name.data + name.length - n, ends[i], n) == 0) {
            name.length -= n;
            break;
        }
    }
    if (general_span(name, NAME_BYTES ":/@") != name.length)
        return false;
    general_put_class(writer, IMAGE_PATTERN, "image");
    *rest = (struct text){name.data + name.length, rest->length - name.length};
    if (rest->length > 0)
        *rest = (struct text){rest->data + 1, rest->length - 1};
    return true;
}

bool generalize(struct text view, struct general *ret_general)
{
    struct writer writer = {.general = ret_general};
    struct text rest = view, before = {"", 0};

    *ret_general = (struct general){.plain = true};
    if (view.length == 0 || view.data[0] != '/') {
        general_put_literal(&writer, view);
        general_name(&writer, TEXT_LITERAL("all"));
        return !writer.full;
    }
    rest = (struct text){view.data + 1, view.length - 1};
    general_take_version(&rest, ret_general);
    do {
        bool slash_ends = rest.length > 0 && rest.data[rest.length - 1] == '/';
        struct text segment;

        general_put(&writer, "/", 1);
        if (text_equal(before, TEXT_LITERAL("images")) && general_take_image(&writer, &rest)) {
            before = (struct text){"", 0};
            continue;
        }
        segment = general_next(&rest);
        general_segment(&writer, segment, before);
        before = segment;
        if (slash_ends && rest.length == 0)
            general_put(&writer, "/", 1);
    } while (rest.length > 0);
    if (writer.n_name == 0)
        general_name(&writer, TEXT_LITERAL("root"));
    return !writer.full;
}
