/* Requests written as text, for tests and fuzz targets: the method, target and version of the first line and then
 * field lines. Nothing is checked here, so that a row can hold whatever a parser might let through. */
#ifndef PORTHOLE_TESTS_HTTP_TEXT_H
#define PORTHOLE_TESTS_HTTP_TEXT_H

#include "proxy/http/forward.h"

#define HTTP_TEXT_FIELDS 64

/* A request together with its fields. Borrowed text; lives on the test's stack. */
struct request_text {
    struct request request;
    struct field items[HTTP_TEXT_FIELDS];
};

/* Cuts s at the first `separator`, which goes away; without one everything is the first part. */
static inline struct text http_text_cut(struct text *rest, char separator)
{
    const char *at = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
    struct text first = *rest;

    if (!at) {
        *rest = (struct text){"", 0};
        return first;
    }
    first.length = (size_t)(at - rest->data);
    *rest = (struct text){at + 1, rest->length - first.length - 1};
    return first;
}

/* "GET / 1\nHost: a\nName:value": lines end in LF, the version is the minor digit. False when it has more fields
 * than HTTP_TEXT_FIELDS. */
static inline bool request_from_text(struct request_text *out, struct text text)
{
    struct text line = http_text_cut(&text, '\n');

    memset(out, 0, sizeof(*out));
    out->request.fields = (struct fields){out->items, 0, HTTP_TEXT_FIELDS};
    out->request.method = http_text_cut(&line, ' ');
    out->request.minor =
        line.length && line.data[line.length - 1] >= '0' ? (unsigned)(line.data[--line.length] - '0') : 1;
    line.length -= line.length > 0;
    out->request.target = line;
    while (text.length > 0) {
        struct text name, value;

        if (out->request.fields.n_items == HTTP_TEXT_FIELDS)
            return false;
        value = http_text_cut(&text, '\n');
        name = http_text_cut(&value, ':');
        out->items[out->request.fields.n_items++] = field_of(name, value);
    }
    return true;
}

#endif
