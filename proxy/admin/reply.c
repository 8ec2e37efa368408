#include "proxy/admin/reply.h"

#include <stdlib.h>

#include "proxy/base/builder.h"

/* Of jansson's json_dump_callback, which comes with every brace and blank. */
static int reply_add(const char *data, size_t length, void *closure)
{
    struct builder *body = closure;

    builder_add(body, data, length);
    return body->failed ? -1 : 0;
}

void reply_json(struct page *page, unsigned status, json_t *document)
{
    struct builder body = {0};
    /* It may be shown by a terminal, which obeys some of what peers can send beyond ASCII. */
    const size_t how = JSON_INDENT(1) | JSON_REAL_PRECISION(9) | JSON_ENSURE_ASCII;
    size_t length;
    char *data;

    if (!document || json_dump_callback(document, reply_add, &body, how) < 0)
        body.failed = true;
    json_decref(document);
    builder_add(&body, "\n", 1);
    data = builder_end(&body, &length);
    page_answer(page, status, "application/json", data, length);
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
