#include "config/position.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A walk through the text; `at` never goes beyond `end`, whatever the text is. */
struct position_walk {
    const char *at, *end; /* borrowed from the caller */
};

struct position position_of_offset(const char *text, size_t length, size_t offset)
{
    struct position position = {1, 1};

    for (size_t i = 0; i < offset && i < length; i++) {
        if (text[i] == '\n') {
            position.line++;
            position.column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            position.column++;
        }
    }
    /* Inside a character: its first byte has been counted already. */
    if (offset < length && ((unsigned char)text[offset] & 0xc0) == 0x80 && position.column > 1)
        position.column--;
    return position;
}

static bool position_sees(const struct position_walk *walk, char c)
{
    return walk->at < walk->end && *walk->at == c;
}

/* Goes over white space and the separator, if it is there. */
static bool position_take(struct position_walk *walk, char separator)
{
    bool taken = false;

    while (walk->at < walk->end) {
        if (*walk->at == separator && !taken)
            taken = true;
        else if (!memchr(" \t\r\n", *walk->at, 4))
            break;
        walk->at++;
    }
    return taken;
}

size_t position_string_length(const char *text, size_t length, size_t offset)
{
    if (offset >= length || text[offset] != '"')
        return 0;
    for (size_t i = offset + 1; i < length; i++) {
        if (text[i] == '"')
            return i + 1 - offset;
        if (text[i] == '\\')
            i++;
    }
    return 0;
}

/* Behind the string that begins here; to the end when it has none. */
static void position_skip_string(struct position_walk *walk)
{
    size_t n = position_string_length(walk->at, (size_t)(walk->end - walk->at), 0);

    walk->at = n > 0 ? walk->at + n : walk->end;
}

/* Goes behind one value; iterative, for values can be nested as deep as the parser allows. */
static void position_skip_value(struct position_walk *walk)
{
    size_t depth = 0;

    while (walk->at < walk->end) {
        char c = *walk->at;
        if (c == '"') {
            position_skip_string(walk);
            if (depth == 0)
                return;
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']' || c == '}'))
            return;
        if (c == '{' || c == '[')
            depth++;
        walk->at++;
        if ((c == '}' || c == ']') && --depth == 0)
            return;
    }
}

/* Compares a decoded key with a reference token, in which "~1" stands for "/" and "~0" for "~". */
static bool position_token_equal(const char *key, size_t n_key, const char *token, size_t n_token)
{
    size_t k = 0;

    for (size_t t = 0; t < n_token; t++, k++) {
        char c = token[t];
        if (c == '~' && t + 1 < n_token)
            c = token[++t] == '1' ? '/' : '~';
        if (k >= n_key || key[k] != c)
            return false;
    }
    return k == n_key;
}

/* The same for a key as it stands in the text, with its quotes. */
static bool position_key_equal(const char *raw, size_t n_raw, const char *token, size_t n_token)
{
    json_t *decoded;
    bool equal;

    if (!memchr(raw, '\\', n_raw))
        return n_raw >= 2 && position_token_equal(raw + 1, n_raw - 2, token, n_token);
    decoded = json_loadb(raw, n_raw, JSON_DECODE_ANY, NULL);
    equal = json_is_string(decoded) &&
            position_token_equal(json_string_value(decoded), json_string_length(decoded), token, n_token);
    json_decref(decoded);
    return equal;
}

/* From '{' to the value of the member that `token` names; *ret_key is where its key stands. */
static bool position_enter_object(struct position_walk *walk, const char *token, size_t n_token, const char **ret_key)
{
    position_take(walk, '{');
    while (position_sees(walk, '"')) {
        const char *key = walk->at;
        bool found;
        position_skip_string(walk);
        found = position_key_equal(key, (size_t)(walk->at - key), token, n_token);
        position_take(walk, ':');
        if (found) {
            *ret_key = key;
            return true;
        }
        position_skip_value(walk);
        position_take(walk, ',');
    }
    return false;
}

/* From '[' to the element that `token` counts. */
static bool position_enter_array(struct position_walk *walk, const char *token)
{
    unsigned long index = strtoul(token, NULL, 10);

    position_take(walk, '[');
    for (; index > 0; index--) {
        position_skip_value(walk);
        if (!position_take(walk, ','))
            return false;
    }
    return true;
}

struct position position_of_pointer(const char *text, size_t length, const char *pointer, bool key)
{
    struct position_walk walk = {text, text + length};
    const char *value, *value_key;

    position_take(&walk, ' ');
    value = value_key = walk.at;
    while (*pointer == '/') {
        const char *token = pointer + 1;
        size_t n_token = strcspn(token, "/");
        const char *found_key = NULL;
        if (position_sees(&walk, '{')) {
            if (!position_enter_object(&walk, token, n_token, &found_key))
                break;
        } else if (!position_sees(&walk, '[') || !position_enter_array(&walk, token)) {
            break;
        }
        value = walk.at;
        value_key = found_key ? found_key : value;
        pointer = token + n_token;
    }
    return position_of_offset(text, length, (size_t)((key ? value_key : value) - text));
}
