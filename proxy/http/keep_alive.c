#include "proxy/http/keep_alive.h"

#include <stdbool.h>

#include "proxy/http/bytes.h"
#include "proxy/http/fields.h"

#define MOST_S UINT64_C(31536000) /* a year is for ever */

/* Splits NAME "=" NUMBER, with white space around the "=" or without. */
static bool keep_alive_split(struct text element, struct text *ret_name, uint64_t *ret_number)
{
    const char *equals = memchr(element.data, '=', element.length);
    size_t n = equals ? (size_t)(equals - element.data) : 0;

    *ret_name = text_trim((struct text){element.data, n});
    return equals && text_to_length(text_trim(text_skip(element, n + 1)), ret_number);
}

uint64_t keep_alive_ms(struct text value)
{
    uint64_t ms = KEEP_ALIVE_SILENT, number;
    struct text element, name;

    while (text_next_element(&value, &element)) {
        if (!keep_alive_split(element, &name, &number))
            continue;
        if (text_equal_nocase(name, TEXT_LITERAL("max")) && number == 0)
            ms = 0;
        if (text_equal_nocase(name, TEXT_LITERAL("timeout")) && number < MOST_S && number * 1000 < ms)
            ms = number * 1000;
    }
    return ms;
}
