#include "config/syntax.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "config/duplicate.h"
#include "config/json_memory.h"
#include "config/problem.h"

#define SYNTAX_KEY_BYTES 80 /* of a key that is shown */

/* What jansson refused, and where. */
struct syntax_error {
    const char *text; /* borrowed: the file */
    size_t length;
    size_t offset;      /* of the first byte of the token it stopped at */
    const char *reason; /* borrowed: jansson's words */
};

static bool syntax_begins(const char *text, size_t length, const char *with, size_t n_with)
{
    return length >= n_with && memcmp(text, with, n_with) == 0;
}

/* The byte before `offset` that is not white space, '\0' at the beginning. */
static char syntax_before(const struct syntax_error *error, size_t offset, size_t *ret_offset)
{
    while (offset > 0 && memchr(" \t\r\n", error->text[offset - 1], 4))
        offset--;
    *ret_offset = offset > 0 ? offset - 1 : 0;
    return offset > 0 ? error->text[offset - 1] : '\0';
}

/* Puts error->offset to the beginning of the token that jansson read last, whose end is `position`. */
static void syntax_find_token(struct syntax_error *error, size_t position)
{
    static const char near[] = " near '";
    const char *token = strstr(error->reason, near);
    size_t n_token;

    error->offset = position > 0 ? position - 1 : 0;
    if (!token)
        return;
    token += sizeof(near) - 1;
    n_token = strlen(token);
    n_token -= n_token > 0;
    if (n_token <= position && memcmp(error->text + position - n_token, token, n_token) == 0)
        error->offset = position - n_token;
}

/* Whether the document does not even begin like one. */
static bool syntax_is_other_notation(const struct syntax_error *error)
{
    size_t i = 0;

    while (i < error->length && memchr(" \t\r\n", error->text[i], 4))
        i++;
    return i < error->length && error->text[i] != '{' && error->text[i] != '"' && error->offset <= i + 1;
}

/* Things that other notations have and JSON has not. NULL when it is none of them. May move the offset. */
static const char *syntax_hint(struct syntax_error *error)
{
    char c = error->offset < error->length ? error->text[error->offset] : '\0';
    size_t before_offset;
    char before = syntax_before(error, error->offset, &before_offset);

    if (c == '/' || c == '#')
        return "JSON has no comments";
    if (c == '\'')
        return "JSON strings are in double quotes";
    if (syntax_begins(error->text + error->offset, error->length - error->offset, "\xe2\x80", 2))
        return "JSON strings are in straight quotes (\"), not in curly ones";
    if (syntax_is_other_notation(error))
        return "this looks like YAML, TOML or another notation; a configuration is JSON, and begins with {";
    if ((c == '}' || c == ']') && before == ',') {
        error->offset = before_offset;
        return "a comma after the last element; JSON has no trailing commas";
    }
    if (c == '0')
        return "numbers have no leading zeros; a mode is a string such as \"0660\"";
    if (c == ',' && before == ',')
        return "two commas";
    if (c == '"' && before != '\0' && strchr("\"}]0123456789el", before) && strstr(error->reason, "expected near"))
        return "a comma is missing before this";
    if (((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') && before != '\0' && strchr("{,", before))
        return "keys and strings are in double quotes";
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return "strings are in double quotes; without them JSON knows only true, false and null, in lower case";
    return NULL;
}

/* What can be told from the beginning of the file. */
static const char *syntax_look_at_file(const char *text, size_t length)
{
    if (syntax_begins(text, length, "\xef\xbb\xbf", 3))
        return "the file begins with a byte order mark; save it as UTF-8 without one";
    if (syntax_begins(text, length, "\xff\xfe", 2) || syntax_begins(text, length, "\xfe\xff", 2))
        return "the file is UTF-16; save it as UTF-8";
    for (size_t i = 0; i < length; i++) {
        if (!memchr(" \t\r\n", text[i], 4))
            return NULL;
    }
    return "the file is empty; expected a JSON object";
}

/* What jansson's words leave unclear; NULL where they are clear enough. */
static const char *syntax_explain(struct syntax_error *error, enum json_error_code code)
{
    switch (code) {
    case json_error_premature_end_of_input:
        return "the file ends too early; a bracket or a quote is not closed";
    case json_error_end_of_input_expected:
        return "something follows the end of the document";
    case json_error_null_character:
        return "a string cannot contain \\u0000";
    case json_error_stack_overflow:
        return "nested too deeply";
    case json_error_numeric_overflow:
        while (error->offset > 0 && strchr("0123456789+-.eE", error->text[error->offset - 1]))
            error->offset--;
        return "the number is too large";
    case json_error_invalid_syntax:
        return syntax_hint(error);
    default:
        return NULL;
    }
}

/* Both places of a key that is there twice. */
static int syntax_report_duplicate(struct syntax_error *error, struct problems *problems)
{
    struct position position = position_of_offset(error->text, error->length, error->offset), at;
    size_t first = duplicate_find(error->text, error->length, error->offset);
    int n = (int)position_string_length(error->text, error->length, error->offset);
    int r;

    if (first == DUPLICATE_NONE) {
        r = problems_add(problems, position, "", "not valid JSON: a key is used twice in one object");
    } else {
        at = position_of_offset(error->text, error->length, first);
        r = problems_add(problems, position, "",
                         "not valid JSON: the key %.*s is used twice in one object, first in line %d, column %d",
                         n < SYNTAX_KEY_BYTES ? n : SYNTAX_KEY_BYTES, error->text + first, at.line, at.column);
    }
    return r < 0 ? r : 1;
}

static int syntax_report(struct syntax_error *error, enum json_error_code code, struct problems *problems)
{
    const char *explained = syntax_explain(error, code);
    struct position position = position_of_offset(error->text, error->length, error->offset);
    int r;

    if (!explained)
        r = problems_add(problems, position, "", "not valid JSON: %s", error->reason);
    else if (code == json_error_invalid_syntax)
        r = problems_add(problems, position, "", "not valid JSON: %s (%s)", explained, error->reason);
    else
        r = problems_add(problems, position, "", "not valid JSON: %s", explained);
    return r < 0 ? r : 1;
}

int syntax_parse(const char *text, size_t length, json_t **ret_tree, struct problems *problems)
{
    struct syntax_error error = {.text = text, .length = length};
    const char *wrong = syntax_look_at_file(text, length);
    json_error_t json_error;
    json_t *tree;

    if (wrong) {
        int r = problems_add(problems, (struct position){1, 1}, "", "%s", wrong);
        return r < 0 ? r : 1;
    }
    if (json_memory_parse(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &tree, &json_error) < 0)
        return -ENOMEM;
    if (tree) {
        *ret_tree = tree;
        return 0;
    }
    error.reason = json_error.text;
    syntax_find_token(&error, json_error.position > 0 ? (size_t)json_error.position : 0);
    if (json_error_code(&json_error) == json_error_duplicate_key)
        return syntax_report_duplicate(&error, problems);
    return syntax_report(&error, json_error_code(&json_error), problems);
}
