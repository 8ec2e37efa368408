#include "proxy/http/trace.h"

#define TRACE_SPAN_AT (4 + TRACE_ID_BYTES)
#define TRACE_FLAGS_AT (TRACE_SPAN_AT + TRACE_SPAN_BYTES + 1)
#define TRACE_KNOWN_FLAGS 3u /* sampled, random */

static const char trace_digits[] = "0123456789abcdef";

static bool trace_is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    return true;
}

static bool trace_is_zero(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] != '0')
            return false;
    return true;
}

static void trace_put(char *out, uint64_t n)
{
    for (unsigned i = 0; i < 16; i++)
        out[i] = trace_digits[n >> (60 - 4 * i) & 15];
}

/* Whether it is framed as a traceparent, of a version that can be read. */
static bool trace_is_framed(struct text value)
{
    const char *s = value.data;

    if (value.length < TRACE_BYTES || s[2] != '-' || s[TRACE_SPAN_AT - 1] != '-' || s[TRACE_FLAGS_AT - 1] != '-')
        return false;
    if (!trace_is_hex(s, 2) || memcmp(s, "ff", 2) == 0)
        return false;
    return value.length == TRACE_BYTES || (memcmp(s, "00", 2) != 0 && s[TRACE_BYTES] == '-');
}

bool trace_read(struct text value, char out[TRACE_BYTES])
{
    const char *s = value.data;
    const char *low;

    if (!trace_is_framed(value))
        return false;
    if (!trace_is_hex(s + 3, TRACE_ID_BYTES) || trace_is_zero(s + 3, TRACE_ID_BYTES))
        return false;
    if (!trace_is_hex(s + TRACE_SPAN_AT, TRACE_SPAN_BYTES) || trace_is_zero(s + TRACE_SPAN_AT, TRACE_SPAN_BYTES))
        return false;
    if (!trace_is_hex(s + TRACE_FLAGS_AT, 2))
        return false;
    memcpy(out, s, TRACE_BYTES);
    memcpy(out, "00", 2);
    low = strchr(trace_digits, out[TRACE_FLAGS_AT + 1]);
    out[TRACE_FLAGS_AT] = '0';
    out[TRACE_FLAGS_AT + 1] = trace_digits[(size_t)(low - trace_digits) & TRACE_KNOWN_FLAGS];
    return true;
}

void trace_begin(char out[TRACE_BYTES], uint64_t high, uint64_t low, uint64_t span)
{
    memcpy(out, "00-", 3);
    trace_put(out + 3, high);
    trace_put(out + 3 + TRACE_ID_BYTES / 2, high == 0 && low == 0 ? 1 : low);
    out[TRACE_SPAN_AT - 1] = '-';
    trace_set_span(out, span);
    memcpy(out + TRACE_FLAGS_AT - 1, "-01", 3);
}

void trace_set_span(char out[TRACE_BYTES], uint64_t span)
{
    trace_put(out + TRACE_SPAN_AT, span == 0 ? 1 : span);
}
