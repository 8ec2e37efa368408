#include "proxy/report/tap_filter.h"

#include <errno.h>
#include <string.h>

#include "config/value.h"
#include "proxy/report/tap.h"

#define MOST_PARAMETERS 32

/* ---- the query ---- */

static int filter_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

/* A name or value without escapes, terminated. False: it is too long, has a NUL, or an escape that is none. */
static bool filter_decode(struct text in, char out[TAP_FILTER_TEXT_BYTES])
{
    size_t n = 0;

    for (size_t i = 0; i < in.length; i++) {
        int c = (unsigned char)in.data[i];

        if (c == '%') {
            if (in.length - i < 3 || filter_digit(in.data[i + 1]) < 0 || filter_digit(in.data[i + 2]) < 0)
                return false;
            c = filter_digit(in.data[i + 1]) << 4 | filter_digit(in.data[i + 2]);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c == 0 || n == TAP_FILTER_TEXT_BYTES - 1)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

/* "404" or "4xx". */
static bool filter_status(struct tap_filter *filter, const char *value)
{
    if (strlen(value) != 3 || value[0] < '1' || value[0] > '5')
        return false;
    if (strcasecmp(value + 1, "xx") == 0) {
        filter->status_least = (unsigned)(value[0] - '0') * 100;
        filter->status_most = filter->status_least + 99;
        return true;
    }
    if (strspn(value, "0123456789") != 3)
        return false;
    filter->status_least = (unsigned)((value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0'));
    filter->status_most = filter->status_least;
    return true;
}

static bool filter_switch(bool *to, const char *value)
{
    *to = strcmp(value, "1") == 0;
    return *to || strcmp(value, "0") == 0;
}

static bool filter_duration(struct tap_filter *filter, const char *value)
{
    uint64_t ms;

    if (value_parse(value, UNIT_MS, &ms) != VALUE_OK || ms > UINT64_MAX / 1000)
        return false;
    filter->least_us = ms * 1000;
    return true;
}

static bool filter_bodies(struct tap_filter *filter, const char *value)
{
    uint64_t n;

    if (!text_to_length(text_of(value), &n) || n > TAP_BODY_MOST_BYTES)
        return false;
    filter->body_bytes = (uint32_t)n;
    return true;
}

/* NULL, or a sentence. */
static const char *filter_set(struct tap_filter *filter, const char *name, const char *value)
{
    const struct {
        const char *name;
        char *to;
    } texts[] = {{"listener", filter->listener},
                 {"route", filter->route},
                 {"method", filter->method},
                 {"path_prefix", filter->path_prefix},
                 {"peer", filter->peer}};

    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        if (strcmp(name, texts[i].name) != 0)
            continue;
        memcpy(texts[i].to, value, strlen(value) + 1);
        return NULL;
    }
    if (strcmp(name, "status") == 0)
        return filter_status(filter, value) ? NULL : "status is one like 404, or a class like 4xx";
    if (strcmp(name, "min_duration") == 0)
        return filter_duration(filter, value) ? NULL : "min_duration is a duration like 250ms or 5s";
    if (strcmp(name, "bodies") == 0)
        return filter_bodies(filter, value) ? NULL : "bodies is a number of bytes, at most 65536";
    if (strcmp(name, "headers") == 0)
        return filter_switch(&filter->heads, value) ? NULL : "headers is 0 or 1";
    if (strcmp(name, "unredacted") == 0)
        return filter_switch(&filter->unredacted, value) ? NULL : "unredacted is 0 or 1";
    return "it knows listener, route, status, min_duration, peer, method, path_prefix, headers, bodies and unredacted";
}

static const char *filter_take(struct tap_filter *filter, struct text parameter)
{
    char name[TAP_FILTER_TEXT_BYTES], value[TAP_FILTER_TEXT_BYTES];
    const char *equals = memchr(parameter.data, '=', parameter.length);
    size_t n = equals ? (size_t)(equals - parameter.data) : parameter.length;
    struct text rest = {equals ? equals + 1 : "", equals ? parameter.length - n - 1 : 0};

    if (!filter_decode((struct text){parameter.data, n}, name) || !filter_decode(rest, value))
        return "a parameter is too long, or has an escape that is none";
    return filter_set(filter, name, value);
}

int tap_filter_parse(struct text query, struct tap_filter *ret, struct error *error)
{
    struct tap_filter filter = {.heads = false};
    const char *at = query.length > 0 ? query.data : "", *end = at + query.length; /* none has no data, either */

    for (int i = 0; at < end; i++) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp ? amp : end;
        const char *wrong = i == MOST_PARAMETERS ? "too many parameters" : NULL;

        if (!wrong && stop > at)
            wrong = filter_take(&filter, (struct text){at, (size_t)(stop - at)});
        if (wrong)
            return error_set(error, -EINVAL, "%s", wrong);
        at = amp ? amp + 1 : end;
    }
    *ret = filter;
    return 0;
}

/* ---- records ---- */

static bool filter_is(const char *wanted, struct text text)
{
    return wanted[0] == '\0' || text_equal(text_of(wanted), text);
}

bool tap_filter_fits(const struct tap_filter *filter, const struct record *record)
{
    size_t n_prefix = strlen(filter->path_prefix), n_peer = strlen(filter->peer);

    if (filter->status_most > 0 && (record->status < filter->status_least || record->status > filter->status_most))
        return false;
    if (record->total_us < filter->least_us)
        return false;
    if (!filter_is(filter->listener, record->listener) || !filter_is(filter->route, record->route) ||
        !filter_is(filter->method, record->method))
        return false;
    if (n_prefix > 0 &&
        (record->target.length < n_prefix || memcmp(record->target.data, filter->path_prefix, n_prefix) != 0))
        return false;
    return n_peer == 0 ||
           (record->peer.length > 0 && memmem(record->peer.data, record->peer.length, filter->peer, n_peer));
}
