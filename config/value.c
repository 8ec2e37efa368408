#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A suffix and what it multiplies by. Tables go from the smallest to the largest. */
struct value_suffix {
    const char *text;
    uint64_t factor;
};

static const struct value_suffix value_suffixes_ms[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct value_suffix value_suffixes_bytes[] = {
    {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"TiB", (uint64_t)1 << 40}, {NULL, 0},
};
static const struct value_suffix value_suffixes_count[] = {{"", 1}, {NULL, 0}};

static const struct value_suffix *value_suffixes(enum limit_unit unit)
{
    if (unit == UNIT_MS)
        return value_suffixes_ms;
    return unit == UNIT_BYTES || unit == UNIT_MEMORY ? value_suffixes_bytes : value_suffixes_count;
}

static bool value_may_be_unlimited(enum limit_unit unit)
{
    return unit == UNIT_BYTES || unit == UNIT_MEMORY;
}

/* Reads digits of the base; *ret_end is behind the last one. False on overflow. */
static bool value_digits(const char *text, unsigned base, uint64_t *ret_value, const char **ret_end)
{
    uint64_t value = 0;
    bool fits = true;

    for (; *text >= '0' && *text < (char)('0' + base); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
            fits = false;
    }
    *ret_value = value;
    *ret_end = text;
    return fits;
}

static enum value_verdict value_parse_mode(const char *text, uint64_t *ret_value)
{
    size_t length = strlen(text);
    uint64_t value;
    const char *end;

    if (text[0] != '0' || length < 4 || length > 5)
        return VALUE_MALFORMED;
    if (!value_digits(text, 8, &value, &end) || *end != '\0')
        return VALUE_MALFORMED;
    *ret_value = value;
    return VALUE_OK;
}

/* A decimal number with at most three digits behind its point, as JSON writes one. */
static enum value_verdict value_parse_fraction(const char *text, uint64_t *ret_value)
{
    uint64_t whole, part = 0;
    const char *end, *point;
    bool fits = value_digits(text, 10, &whole, &end);

    if (end == text || (text[0] == '0' && end > text + 1))
        return VALUE_MALFORMED;
    if (*end == '.') {
        point = end;
        if (!value_digits(point + 1, 10, &part, &end) || end == point + 1 || end > point + 4)
            return VALUE_MALFORMED;
        for (; end < point + 4; point--)
            part *= 10;
    }
    if (*end != '\0')
        return VALUE_MALFORMED;
    if (!fits || __builtin_mul_overflow(whole, 1000, &whole) || __builtin_add_overflow(whole, part, &whole))
        return VALUE_HUGE;
    *ret_value = whole;
    return VALUE_OK;
}

enum value_verdict value_parse(const char *text, enum limit_unit unit, uint64_t *ret_value)
{
    uint64_t value;
    const char *end;
    bool fits;

    if (unit == UNIT_MODE)
        return value_parse_mode(text, ret_value);
    if (unit == UNIT_FRACTION)
        return value_parse_fraction(text, ret_value);
    if (unit == UNIT_MEMORY && strcmp(text, "auto") == 0) {
        *ret_value = LIMIT_MEMORY_AUTO;
        return VALUE_OK;
    }
    if (value_may_be_unlimited(unit) && strcmp(text, "unlimited") == 0) {
        *ret_value = UINT64_MAX;
        return VALUE_OK;
    }
    fits = value_digits(text, 10, &value, &end);
    if (end == text)
        return VALUE_MALFORMED;
    for (const struct value_suffix *s = value_suffixes(unit); s->text; s++) {
        if (strcmp(end, s->text) != 0)
            continue;
        /* UINT64_MAX itself means "unlimited" and nothing else. */
        if (!fits || __builtin_mul_overflow(value, s->factor, &value) || value == UINT64_MAX)
            return VALUE_HUGE;
        *ret_value = value;
        return VALUE_OK;
    }
    return VALUE_MALFORMED;
}

static void value_format_fraction(uint64_t value, char out[VALUE_BYTES])
{
    size_t length = (size_t)snprintf(out, VALUE_BYTES, "%" PRIu64 ".%03" PRIu64, value / 1000, value % 1000);

    while (out[length - 1] == '0')
        length--;
    if (out[length - 1] == '.')
        length--;
    out[length] = '\0';
}

const char *value_format(uint64_t value, enum limit_unit unit, char out[VALUE_BYTES])
{
    const struct value_suffix *best = value_suffixes(unit);

    if (unit == UNIT_MODE) {
        snprintf(out, VALUE_BYTES, "0%03" PRIo64, value);
    } else if (unit == UNIT_FRACTION) {
        value_format_fraction(value, out);
    } else if (unit == UNIT_MEMORY && value == LIMIT_MEMORY_AUTO) {
        snprintf(out, VALUE_BYTES, "auto");
    } else if (value_may_be_unlimited(unit) && value == UINT64_MAX) {
        snprintf(out, VALUE_BYTES, "unlimited");
    } else {
        for (const struct value_suffix *s = best; s->text; s++) {
            if (value != 0 && value % s->factor == 0)
                best = s;
        }
        snprintf(out, VALUE_BYTES, "%" PRIu64 "%s", value / best->factor, best->text);
    }
    return out;
}

static bool value_parse_status(const char *text, unsigned *ret_status)
{
    *ret_status = 0;
    for (size_t i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *ret_status = *ret_status * 10 + (unsigned)(text[i] - '0');
    }
    return *ret_status >= 200 && *ret_status <= 599;
}

bool value_parse_statuses(const char *text, unsigned *ret_least, unsigned *ret_most)
{
    unsigned least, most;

    if (text[0] >= '2' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
        least = (unsigned)(text[0] - '0') * 100;
        most = least + 99;
    } else {
        if (!value_parse_status(text, &least))
            return false;
        most = least;
        if (text[3] != '\0' && (text[3] != '-' || !value_parse_status(text + 4, &most) || text[7] != '\0'))
            return false;
    }
    if (most < least)
        return false;
    *ret_least = least;
    *ret_most = most;
    return true;
}

bool value_is_name(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= 64 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == length;
}

const char *value_expected(enum limit_unit unit)
{
    switch (unit) {
    case UNIT_MS:
        return "a duration such as \"250ms\", \"5s\", \"1m\", \"2h\" or \"1d\"";
    case UNIT_BYTES:
        return "a size such as \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"";
    case UNIT_MEMORY:
        return "\"auto\", a size such as \"64MiB\" or \"1GiB\"";
    case UNIT_MODE:
        return "an octal string such as \"0660\"";
    case UNIT_FRACTION:
        return "a number with at most three decimals, such as 0.25";
    case UNIT_COUNT:
        break;
    }
    return "an integer";
}
