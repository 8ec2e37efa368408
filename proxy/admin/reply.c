#include "proxy/admin/reply.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096u

/* What has been written; grows. */
struct reply_body {
    char *data; /* owned */
    size_t length, capacity;
};

/* Of jansson's json_dump_callback, which comes with every brace and blank. */
static int reply_add(const char *data, size_t length, void *closure)
{
    struct reply_body *body = closure;
    size_t capacity = body->capacity > 0 ? body->capacity : FIRST_BYTES;
    char *grown;

    if (body->capacity - body->length < length) {
        while (capacity - body->length < length)
            capacity *= 2;
        grown = realloc(body->data, capacity);
        if (!grown)
            return -1;
        body->data = grown;
        body->capacity = capacity;
    }
    memcpy(body->data + body->length, data, length);
    body->length += length;
    return 0;
}

void reply_json(struct page *page, unsigned status, json_t *document)
{
    struct reply_body body = {0};
    /* It may be shown by a terminal, which obeys some of what peers can send beyond ASCII. */
    const size_t how = JSON_INDENT(1) | JSON_REAL_PRECISION(9) | JSON_ENSURE_ASCII;

    if (!document || json_dump_callback(document, reply_add, &body, how) < 0 || reply_add("\n", 1, &body) < 0) {
        free(body.data);
        body = (struct reply_body){0};
    }
    json_decref(document);
    page_answer(page, status, "application/json", body.data, body.length);
}

static json_t *reply_text_of_bytes(struct text text)
{
    char *copy = malloc(text.length + 1);
    json_t *string;

    if (!copy)
        return NULL;
    for (size_t i = 0; i < text.length; i++)
        copy[i] = (char)((unsigned char)text.data[i] < 0x80 ? text.data[i] : '?');
    string = json_stringn(copy, text.length);
    free(copy);
    return string;
}

json_t *reply_text(struct text text)
{
    json_t *string = text.length > 0 ? json_stringn(text.data, text.length) : json_string("");

    return string ? string : reply_text_of_bytes(text);
}

const char *reply_time(struct wall_time at, char out[REPLY_TIME_BYTES])
{
    if (at.ns == 0)
        return NULL;
    line_write_time(out, at);
    out[LINE_TIME_BYTES] = '\0';
    return out;
}

void reply_set_text(json_t *object, const char *key, struct text text)
{
    if (object && text.length > 0)
        (void)json_object_set_new(object, key, reply_text(text));
}
