#include "proxy/http/condition.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/http/bytes.h"

/* What was found of a name. */
struct condition_found {
    bool any;
    struct text value;
    const char *why; /* it cannot be told; NULL: it can */
};

void condition_deinit(struct condition *condition)
{
    free(condition->name);
    template_free(condition->value);
    pattern_free(condition->pattern);
}

static bool condition_is_same_value(const struct template *a, const struct template *b)
{
    bool same = a->n_pieces == b->n_pieces;

    for (size_t i = 0; same && i < a->n_pieces; i++)
        same = a->pieces[i].kind == b->pieces[i].kind && text_equal(a->pieces[i].text, b->pieces[i].text);
    return same;
}

bool condition_is_same(const struct condition *a, const struct condition *b)
{
    if (a->kind != b->kind || strcmp(a->name, b->name) != 0)
        return false;
    if (a->kind == CONDITION_EQUALS)
        return condition_is_same_value(a->value, b->value);
    return a->kind != CONDITION_FITS || strcmp(pattern_text(a->pattern), pattern_text(b->pattern)) == 0;
}

/* What a piece stands for; false when it cannot be told. */
static bool condition_piece(const struct template_piece *piece, const struct condition_means *means,
                            struct text *ret_text)
{
    if (piece->kind != TEMPLATE_FILE) {
        *ret_text = piece->text;
        return true;
    }
    return means->values && means->values->file && means->values->file(means->values, piece, ret_text);
}

/* Whether they are equal, in a time that says nothing of where they differ: the value may be a secret. */
static enum condition_verdict condition_compare(struct text given, const struct template *wanted,
                                                const struct condition_means *means)
{
    unsigned char different = 0;
    size_t at = 0;

    for (size_t i = 0; i < wanted->n_pieces; i++) {
        struct text piece;

        if (!condition_piece(&wanted->pieces[i], means, &piece))
            return CONDITION_UNDECIDED;
        for (size_t j = 0; j < piece.length; j++, at++)
            different |= (unsigned char)(piece.data[j] ^ (given.length > 0 ? given.data[at % given.length] : 0));
    }
    return different || at != given.length ? CONDITION_FAILS : CONDITION_HOLDS;
}

static enum condition_verdict condition_judge_value(const struct condition *condition,
                                                    const struct condition_found *found,
                                                    const struct condition_means *means, const char **ret_why)
{
    enum condition_verdict verdict =
        found->any ? condition_compare(found->value, condition->value, means) : CONDITION_FAILS;

    if (verdict == CONDITION_UNDECIDED)
        *ret_why = "a file that a condition refers to cannot be used";
    return verdict;
}

static enum condition_verdict condition_judge(const struct condition *condition, const struct condition_found *found,
                                              const struct condition_means *means, const char **ret_why)
{
    bool holds = false;

    if (found->why) {
        *ret_why = found->why;
        return CONDITION_UNDECIDED;
    }
    switch (condition->kind) {
    case CONDITION_ABSENT:
        holds = !found->any;
        break;
    case CONDITION_PRESENT:
        holds = found->any;
        break;
    case CONDITION_EQUALS:
        return condition_judge_value(condition, found, means, ret_why);
    case CONDITION_FITS:
        switch (found->any ? pattern_match(condition->pattern, found->value, means->memory) : PATTERN_DOES_NOT) {
        case PATTERN_FITS:
            holds = true;
            break;
        case PATTERN_DOES_NOT:
            break;
        case PATTERN_UNDECIDED:
            *ret_why = "a pattern was given up at its limit, or its text is no UTF-8";
            return CONDITION_UNDECIDED;
        }
        break;
    }
    return holds ? CONDITION_HOLDS : CONDITION_FAILS;
}

/* ---- fields ---- */

enum condition_verdict condition_on_fields(const struct condition *condition, const struct fields *fields,
                                           const struct condition_means *means, const char **ret_why)
{
    struct text name = text_of(condition->name);
    struct condition_found found = {0};

    for (size_t i = 0; i < fields->n_items; i++) {
        const struct field *field = &fields->items[i];

        if ((field->drop && field->id != FIELD_UPGRADE) || !field_is_spelling_of(field->name, name))
            continue;
        if (!text_equal_nocase(field->name, name))
            found.why = "a field that a route looks at came under a name that some take for the same";
        else if (found.any)
            found.why = "a field that a route looks at came twice";
        found.any = true;
        found.value = field->value;
    }
    return condition_judge(condition, &found, means, ret_why);
}

/* ---- the query ---- */

/* As application/x-www-form-urlencoded has it. False for an escape that is none, or a NUL. */
static bool condition_decode(struct text from, char *out, struct text *ret_text)
{
    size_t n = 0;

    for (size_t i = 0; i < from.length; i++, n++) {
        int byte;

        if (from.data[i] != '%') {
            out[n] = (char)(from.data[i] == '+' ? ' ' : from.data[i]);
            continue;
        }
        byte = text_unescape(text_skip(from, i));
        if (byte <= 0)
            return false;
        out[n] = (char)byte;
        i += 2;
    }
    *ret_text = (struct text){out, n};
    return true;
}

/* Up to the first of the delimiters. */
static struct text condition_until(struct text s, const char *delimiters)
{
    for (size_t i = 0; i < s.length; i++)
        if (s.data[i] != '\0' && strchr(delimiters, s.data[i]))
            return (struct text){s.data, i};
    return s;
}

static bool condition_is_bracket(char c)
{
    return c == '[' || c == ']';
}

/* Whether some server makes the character of a condition's name of this one: PHP has '_' for what its variables cannot
 * have. */
static bool condition_is_taken_for(char c, char wanted)
{
    if (wanted == '_' && (c == '.' || c == ' ' || c == '['))
        return true;
    return text_equal_nocase((struct text){&c, 1}, (struct text){&wanted, 1});
}

/* "key", where a condition is about it, may be spelt "KEY", "key[]", "[key]" or " key" as well: some servers take them
 * for the same. */
static bool condition_is_alike(struct text name, struct text of)
{
    if (text_equal_nocase(name, of))
        return true;
    while (name.length > 0 && (condition_is_bracket(name.data[0]) || (name.data[0] >= '\t' && name.data[0] <= ' ')))
        name = text_skip(name, 1);
    if (name.length < of.length)
        return false;
    for (size_t i = 0; i < of.length; i++)
        if (!condition_is_taken_for(name.data[i], of.data[i]))
            return false;
    return name.length == of.length || condition_is_bracket(name.data[of.length]);
}

/* One parameter; `split`: for some, where a ";" ends it or does not. */
static void condition_look(struct text name_wanted, struct text parameter, bool split, char *scratch,
                           struct condition_found *found)
{
    struct text raw_name = condition_until(parameter, "="), name, value = {"", 0}, raw_value = {"", 0};

    if (raw_name.length < parameter.length)
        raw_value = (struct text){parameter.data + raw_name.length + 1, parameter.length - raw_name.length - 1};
    if (!condition_decode(raw_name, scratch, &name) ||
        !condition_decode(raw_value, scratch + raw_name.length, &value)) {
        found->why = "the query has an escape that is none, and a route looks at the query";
        return;
    }
    if (!condition_is_alike(name, name_wanted))
        return;
    if (split || !text_equal(name, name_wanted))
        found->why = "a parameter that a route looks at is spelt in a way that some take for the same";
    else if (found->any)
        found->why = "a parameter that a route looks at came twice";
    found->any = true;
    found->value = value;
}

/* What stands between two "&": one parameter, but where a ";" is in it some servers see several. */
static void condition_look_at(struct text name, struct text piece, char *scratch, struct condition_found *found)
{
    bool split = condition_until(piece, ";").length < piece.length;

    condition_look(name, piece, split, scratch, found);
    while (split && piece.length > 0) {
        struct text part = condition_until(piece, ";");

        condition_look(name, part, true, scratch, found);
        piece = part.length < piece.length ? (struct text){piece.data + part.length + 1, piece.length - part.length - 1}
                                           : (struct text){NULL, 0};
    }
}

enum condition_verdict condition_on_query(const struct condition *condition, struct text query, char *scratch,
                                          const struct condition_means *means, const char **ret_why)
{
    struct condition_found found = {0};

    for (size_t used = 0; used < query.length;) {
        struct text piece = condition_until((struct text){query.data + used, query.length - used}, "&");

        /* The value stays where it is decoded to: each piece has the room of its own text. */
        condition_look_at(text_of(condition->name), piece, scratch + used, &found);
        used += piece.length + 1;
    }
    return condition_judge(condition, &found, means, ret_why);
}

bool condition_is_about(const struct condition *condition, struct text piece, char *scratch)
{
    struct condition_found found = {0};

    condition_look_at(text_of(condition->name), piece, scratch, &found);
    return found.any || found.why;
}
