#include "cmd/har.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "proxy/base/line.h"
#include "proxy/http/status.h"

#define HAR_BEGIN                                                                                      \
    "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"porthole\",\"version\":\"" PORTHOLE_VERSION \
    "\"},\"entries\":["
#define HAR_END "\n]}}\n"

struct har {
    int fd;    /* owned */
    off_t end; /* where HAR_END is */
    bool any;
};

/* ---- what a record has ---- */

static const char *har_text(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    return text ? text : "";
}

static json_int_t har_number(const json_t *record, const char *key, json_int_t otherwise)
{
    const json_t *value = json_object_get(record, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* The value of a field, of several the first. NULL: there is none. */
static const char *har_field(const json_t *record, const char *list, const char *name)
{
    const json_t *pair;
    size_t i;

    json_array_foreach(json_object_get(record, list), i, pair)
    {
        const char *this = json_string_value(json_array_get(pair, 0));

        if (this && strcasecmp(this, name) == 0)
            return json_string_value(json_array_get(pair, 1));
    }
    return NULL;
}

static json_t *har_pair(json_t *name, json_t *value)
{
    return json_pack("{s:o,s:o}", "name", name, "value", value);
}

static json_t *har_fields(const json_t *record, const char *list)
{
    json_t *headers = json_array();
    const json_t *pair;
    size_t i;

    json_array_foreach(json_object_get(record, list), i, pair)
    {
        json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);

        if (json_is_string(name) && json_is_string(value))
            json_array_append_new(headers, har_pair(json_incref(name), json_incref(value)));
    }
    return headers;
}

/* ---- the request ---- */

static bool har_is_visible(char c)
{
    return c > 0x20 && c < 0x7f;
}

/* A URL has visible ASCII only. The caller owns it; NULL: out of memory. */
static char *har_url(const json_t *record)
{
    const char *target = har_text(record, "request"), *host = har_field(record, "request_headers", "Host");
    char *url = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&url, &length);

    if (!out)
        return NULL;
    if (target[0] == '/' || target[0] == '*' || target[0] == '\0')
        fputs("http://", out);
    for (const char *at =
             target[0] == '/' || target[0] == '*' || target[0] == '\0' ? (host && *host ? host : "localhost") : "";
         *at; at++)
        if (har_is_visible(*at))
            putc(*at, out);
    if (target[0] != '/' && strncmp(target, "http", 4) != 0)
        putc('/', out);
    for (const char *at = target; *at; at++)
        fprintf(out, har_is_visible(*at) ? "%c" : "%%%02X", (unsigned char)*at);
    if (fclose(out) != 0) {
        free(url);
        return NULL;
    }
    return url;
}

/* Of a percent escape, "+" or a byte. What is no UTF-8 then stays as it is written. */
static json_t *har_decoded(const char *text, size_t length)
{
    char *out = malloc(length + 1);
    json_t *value;
    size_t n = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        unsigned byte;

        if (text[i] == '%' && length - i > 2 && sscanf(text + i + 1, "%2x", &byte) == 1 && byte != 0) {
            out[n++] = (char)byte;
            i += 2;
        } else {
            out[n++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    value = json_stringn(out, n);
    free(out);
    return value ? value : json_stringn(text, length);
}

static json_t *har_query(const char *target)
{
    const char *at = strchr(target, '?');
    json_t *query = json_array();

    while (at && *at) {
        size_t n = strcspn(++at, "&"), n_name = strcspn(at, "=&");

        if (n > 0)
            json_array_append_new(
                query, har_pair(har_decoded(at, n_name),
                                n > n_name ? har_decoded(at + n_name + 1, n - n_name - 1) : json_string("")));
        at += n;
    }
    return query;
}

/* Text as it is; what is binary as base64, which only answers have a standard member for. */
static json_t *har_post_data(const json_t *record)
{
    const json_t *body = json_object_get(record, "request_body");
    const char *type = har_field(record, "request_headers", "Content-Type");
    json_t *text = json_object_get(body, "text"), *base64 = json_object_get(body, "base64");
    json_t *data;

    if (!json_is_string(text) && !json_is_string(base64))
        return NULL;
    data = json_pack("{s:s,s:O}", "mimeType", type ? type : "application/octet-stream", "text",
                     json_is_string(text) ? text : base64);
    if (!json_is_string(text))
        json_object_set_new(data, "_encoding", json_string("base64"));
    if (json_is_true(json_object_get(body, "cut")))
        json_object_set_new(data, "comment", json_string("only its beginning"));
    return data;
}

static json_t *har_request(const json_t *record)
{
    const json_t *version = json_object_get(record, "http");
    char http[16];
    char *url = har_url(record);
    json_t *request, *data = har_post_data(record);

    snprintf(http, sizeof(http), "HTTP/%s", version ? har_text(record, "http") : "1.1");
    request = json_pack("{s:s,s:s,s:s,s:[],s:o,s:o,s:i,s:I}", "method", har_text(record, "method"), "url",
                        url ? url : "http://localhost/", "httpVersion", http, "cookies", "headers",
                        har_fields(record, "request_headers"), "queryString", har_query(har_text(record, "request")),
                        "headersSize", -1, "bodySize", har_number(record, "bytes_in", 0));
    free(url);
    if (data)
        json_object_set_new(request, "postData", data);
    return request;
}

/* ---- the response ---- */

static json_t *har_content(const json_t *record)
{
    const json_t *body = json_object_get(record, "response_body");
    const char *type = har_field(record, "response_headers", "Content-Type");
    json_t *text = json_object_get(body, "text"), *base64 = json_object_get(body, "base64");
    json_t *content =
        json_pack("{s:I,s:s}", "size", har_number(record, "bytes_out", 0), "mimeType", type ? type : "x-unknown");

    if (json_is_string(text)) {
        json_object_set(content, "text", text);
    } else if (json_is_string(base64)) {
        json_object_set(content, "text", base64);
        json_object_set_new(content, "encoding", json_string("base64"));
    }
    if (json_is_true(json_object_get(body, "cut")))
        json_object_set_new(content, "comment", json_string("only its beginning"));
    return content;
}

static json_t *har_response(const json_t *record)
{
    json_int_t status = har_number(record, "status", 0);
    const char *location = har_field(record, "response_headers", "Location");

    return json_pack("{s:I,s:s,s:s,s:[],s:o,s:o,s:s,s:i,s:I}", "status", status, "statusText",
                     status >= 100 && status < 600 ? status_phrase((unsigned)status) : "", "httpVersion", "HTTP/1.1",
                     "cookies", "headers", har_fields(record, "response_headers"), "content", har_content(record),
                     "redirectURL", location ? location : "", "headersSize", -1, "bodySize",
                     har_number(record, "bytes_out", 0));
}

/* ---- times ---- */

/* When it began: the record's time is its end. Empty when that is no time. */
static void har_started(const json_t *record, char out[LINE_TIME_BYTES + 1])
{
    json_int_t total_us = har_number(record, "total_us", 0);
    struct tm tm = {.tm_isdst = 0};
    const char *rest = strptime(har_text(record, "time"), "%Y-%m-%dT%H:%M:%S", &tm);
    long long ms = rest && *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;

    ms += (long long)timegm(&tm) * 1000 - total_us / 1000;
    if (!rest || ms < 0)
        ms = 0;
    line_write_time(out, (struct wall_time){(uint64_t)ms * 1000000u});
    out[LINE_TIME_BYTES] = '\0';
}

/* Together they are the time of the exchange. */
static json_t *har_timings(const json_t *record, double total_ms)
{
    double connect = (double)har_number(record, "connect_us", -1) / 1e3;
    double first = (double)har_number(record, "first_byte_us", -1) / 1e3;
    double wait;

    if (first < 0 || first > total_ms)
        first = total_ms;
    if (connect > first)
        connect = first;
    wait = connect > 0 ? first - connect : first;
    return json_pack("{s:i,s:i,s:f,s:i,s:f,s:f,s:i}", "blocked", -1, "dns", -1, "connect", connect > 0 ? connect : -1.0,
                     "send", 0, "wait", wait, "receive", total_ms - first, "ssl", -1);
}

json_t *har_entry(const json_t *record)
{
    static const char *const ours[] = {"id", "listener", "peer", "route", "target", "endpoint", "outcome", "reason"};
    double total_ms = (double)har_number(record, "total_us", 0) / 1e3;
    const char *event = har_text(record, "event");
    char started[LINE_TIME_BYTES + 1], name[32];
    json_t *entry;

    if ((strcmp(event, "exchange") != 0 && strcmp(event, "tunnel_begin") != 0) || !*har_text(record, "method"))
        return NULL;
    har_started(record, started);
    entry = json_pack("{s:s,s:f,s:o,s:o,s:{},s:o}", "startedDateTime", started, "time", total_ms, "request",
                      har_request(record), "response", har_response(record), "cache", "timings",
                      har_timings(record, total_ms));
    for (size_t i = 0; entry && i < ARRAY_LENGTH(ours); i++) {
        json_t *value = json_object_get(record, ours[i]);

        snprintf(name, sizeof(name), "_%s", ours[i]);
        if (json_is_string(value))
            json_object_set(entry, name, value);
    }
    return entry;
}

/* ---- the file ---- */

/* At the end, over what ends the archive. */
static int har_put(const struct har *har, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t n = pwrite(har->fd, text + at, length - at, har->end + (off_t)at);

        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* `text` goes on, and ends with HAR_END. What there is no room for is taken back: the archive stays whole. */
static int har_go_on(struct har *har, const char *text)
{
    size_t length = strlen(text);
    int r = har_put(har, text, length);

    if (r == 0)
        har->end += (off_t)(length - strlen(HAR_END));
    else if (har_put(har, HAR_END, strlen(HAR_END)) == 0 && ftruncate(har->fd, har->end + (off_t)strlen(HAR_END)) < 0)
        r = -errno;
    return r;
}

int har_open(const char *path, struct har **ret_har, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    struct har *har = calloc(1, sizeof(*har));
    int r = fd < 0 ? -errno : -ENOMEM;

    if (har && fd >= 0) {
        har->fd = fd;
        r = har_put(har, HAR_BEGIN HAR_END, strlen(HAR_BEGIN HAR_END));
        har->end = (off_t)strlen(HAR_BEGIN);
    }
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        free(har);
        return error_set(error, r, "%s: %s", path, strerror(-r));
    }
    *ret_har = har;
    return 0;
}

int har_add(struct har *har, const json_t *record, struct error *error)
{
    json_t *entry = har_entry(record);
    char *written, *text = NULL;
    int r = -ENOMEM;

    if (!entry)
        return 0;
    written = json_dumps(entry, JSON_COMPACT);
    if (written && asprintf(&text, "%s%s" HAR_END, har->any ? ",\n" : "\n", written) >= 0)
        r = har_go_on(har, text);
    har->any = har->any || r == 0;
    free(text);
    free(written);
    json_decref(entry);
    return r < 0 ? error_set(error, r, "the archive cannot be written: %s", strerror(-r)) : 0;
}

void har_close(struct har *har)
{
    if (!har)
        return;
    close(har->fd);
    free(har);
}
