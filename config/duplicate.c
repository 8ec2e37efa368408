#include "config/duplicate.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "config/position.h"

/* As deep as jansson goes. */
#define DUPLICATE_MOST_DEPTH 2048

/* How far to go on from `i`: behind a string, or by one byte. */
static size_t duplicate_step(const char *text, size_t length, size_t i)
{
    size_t n = position_string_length(text, length, i);

    return n > 0 ? n : 1;
}

/* Where the object begins that `at` is in; DUPLICATE_NONE when that is none. */
static size_t duplicate_object(const char *text, size_t length, size_t at)
{
    size_t open[DUPLICATE_MOST_DEPTH] = {0}, depth = 0;

    for (size_t i = 0; i < at; i += duplicate_step(text, length, i)) {
        if (text[i] == '{' || text[i] == '[') {
            if (depth == DUPLICATE_MOST_DEPTH)
                return DUPLICATE_NONE;
            open[depth++] = i;
        } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return depth > 0 && text[open[depth - 1]] == '{' ? open[depth - 1] : DUPLICATE_NONE;
}

static bool duplicate_is_key(const char *text, size_t length, size_t behind)
{
    while (behind < length && memchr(" \t\r\n", text[behind], 4))
        behind++;
    return behind < length && text[behind] == ':';
}

size_t duplicate_find(const char *text, size_t length, size_t second)
{
    size_t object = duplicate_object(text, length, second), n = position_string_length(text, length, second), depth = 0;

    for (size_t i = object == DUPLICATE_NONE ? second : object + 1; i < second; i += duplicate_step(text, length, i)) {
        if (text[i] == '{' || text[i] == '[')
            depth++;
        else if (text[i] == '}' || text[i] == ']')
            depth--;
        else if (depth == 0 && position_string_length(text, length, i) == n && n > 0 &&
                 memcmp(text + i, text + second, n) == 0 && duplicate_is_key(text, length, i + n))
            return i;
    }
    return DUPLICATE_NONE;
}
