/* Conditions on a query: what they hold for is what a plain reading of the parameters has, and whatever servers may
 * read in two ways is not decided.
 *
 * Input: the wanted name and value, a line each, then the query. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/condition.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool is_hex(char c)
{
    return c != '\0' && strchr("0123456789abcdefABCDEF", c);
}

/* Another decoder: in place, of a terminated text. */
static void decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        char digits[3] = {0};

        if (*text == '%' && is_hex(text[1]) && is_hex(text[2])) {
            memcpy(digits, text + 1, 2);
            *out++ = (char)strtol(digits, NULL, 16);
            text += 2;
        } else {
            *out++ = (char)(*text == '+' ? ' ' : *text);
        }
    }
    *out = '\0';
}

/* How many parameters of that name there are; *ret_equal: one has that value. */
static unsigned count(char *query, const char *name, const char *value, bool *ret_equal)
{
    unsigned n = 0;
    char *parameter;

    while ((parameter = strsep(&query, "&"))) {
        char *its_value = strchr(parameter, '=');

        if (its_value)
            *its_value++ = '\0';
        decode(parameter);
        if (its_value)
            decode(its_value);
        if (*parameter == '\0' || strcmp(parameter, name) != 0)
            continue;
        n++;
        *ret_equal = strcmp(its_value ? its_value : "", value) == 0;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1), *rest = text, *name, *value, *scratch, *copy;
    struct condition condition = {.kind = CONDITION_EQUALS}, present = {.kind = CONDITION_PRESENT};
    const struct condition_means means = {NULL, NULL};
    const char *why = NULL;
    bool equal = false;
    unsigned n;
    enum condition_verdict verdict, is_there;

    assert(text);
    memcpy(text, bytes, size);
    text[size] = '\0';
    name = strsep(&rest, "\n");
    value = rest ? strsep(&rest, "\n") : NULL;
    if (!rest || *name == '\0') {
        free(text);
        return 0;
    }
    condition.name = present.name = name;
    condition.value = template_of_literal(value);
    assert(condition.value);
    scratch = malloc(strlen(rest) + 1);
    copy = strdup(rest);
    assert(scratch && copy);
    verdict = condition_on_query(&condition, text_of(rest), scratch, &means, &why);
    assert((verdict == CONDITION_UNDECIDED) == (why != NULL));
    is_there = condition_on_query(&present, text_of(rest), scratch, &means, &why);
    assert((verdict == CONDITION_UNDECIDED) == (is_there == CONDITION_UNDECIDED));
    n = count(copy, name, value, &equal);
    assert(n < 2 || verdict == CONDITION_UNDECIDED);
    assert(verdict != CONDITION_HOLDS || (n == 1 && equal));
    assert(verdict != CONDITION_FAILS || n == 0 || !equal);
    assert(is_there != CONDITION_HOLDS || n == 1);
    assert(is_there != CONDITION_FAILS || n == 0);
    template_free(condition.value);
    free(scratch);
    free(copy);
    free(text);
    return 0;
}
