/* The query of GET /tap, and lines that are made of whatever was sent: valid JSON, or none. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/har.h"
#include "cmd/tap_view.h"
#include "proxy/report/tap_filter.h"
#include "proxy/report/tap_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader makes of it: a row without anything that a terminal obeys, and an entry. */
static void fuzz_read(const json_t *record)
{
    const struct tap_view_style style = {.width = 80};
    char *row = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&row, &length);

    if (!out)
        abort();
    tap_view_row(out, record, &style);
    fclose(out);
    for (size_t i = 0; i + 1 < length; i++)
        if ((unsigned char)row[i] < 0x20)
            abort();
    free(row);
    json_decref(har_entry(record));
}

/* A reader's second line is what its first was, and what nobody's memory changes. */
static void fuzz_memo(const struct tap_view *view, struct tap_choice choice, const char *line, size_t length,
                      size_t room)
{
    static struct tap_memo memo; /* of what came before, too */
    char *out = malloc(room);

    if (!out)
        abort();
    choice.memo = &memo;
    for (int i = 0; i < 2; i++)
        if (tap_line_write(view, &choice, out, room) != length || memcmp(out, line, length) != 0)
            abort();
    free(out);
}

static void fuzz_line(const uint8_t *data, size_t size)
{
    const struct field field = {.name = {(const char *)data, size / 2}, .value = {(const char *)data, size}};
    const struct tap_choice choice = {.heads = true, .body_bytes = size > 3 ? data[0] : 100000};
    size_t bytes = tap_field_bytes(&field);
    char *fields = malloc(bytes), *out;
    struct tap_view view = {.has_heads = true, .body_most = 100000};
    size_t room = size > 2 ? 4096 + (size_t)data[1] * 256 : 65536, n;
    json_t *record;

    out = malloc(room);
    if (!fields || !out)
        abort();
    tap_field_put(fields, &field, false);
    view.record = (struct record){.target = field.value,
                                  .method = field.name,
                                  .peer = field.value,
                                  .sent_bytes = size,
                                  .status = size > 0 ? data[0] * 3u : 0,
                                  .event = size > 1 ? data[1] % 3 : 0};
    view.message = (struct tap_message){.request_fields = {fields, bytes}, .response_body = field.value};
    n = tap_line_write(&view, &choice, out, room);
    fuzz_memo(&view, choice, out, n, room);
    if (n > 0) {
        record = json_loadb(out, n, JSON_ALLOW_NUL, NULL);
        if (!record || memchr(out, '\n', n) != out + n - 1)
            abort();
        fuzz_read(record);
        json_decref(record);
    }
    free(fields);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = ERROR_INIT;
    struct tap_filter filter;
    json_t *record;

    if (tap_filter_parse((struct text){(const char *)data, size}, &filter, &error) == 0) {
        const struct record any = {.target = {(const char *)data, size}, .peer = {(const char *)data, size}};

        tap_filter_fits(&filter, &any);
    }
    fuzz_line(data, size);
    record = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    if (json_is_object(record))
        fuzz_read(record);
    json_decref(record);
    return 0;
}
