#include "proxy/report/tap_line.h"

#include <string.h>

#include "proxy/base/utf8.h"

#define REDACTED "\"[redacted]\""
#define SPARE_BYTES 64u /* a line with less room at its end may lack something */

/* ---- what is secret ---- */

bool tap_line_is_secret(struct text name, char *const *redact)
{
    static const char *const always[] = {"Authorization",   "Proxy-Authorization", "Cookie",
                                         "Set-Cookie",      "X-Api-Key",           "X-Auth-Token",
                                         "X-Registry-Auth", "X-Registry-Config",   "X-Vault-Token"};

    for (size_t i = 0; i < ARRAY_LENGTH(always); i++)
        if (field_is_spelling_of(name, text_of(always[i])))
            return true;
    for (size_t i = 0; redact && redact[i]; i++)
        if (field_is_spelling_of(name, text_of(redact[i])))
            return true;
    return false;
}

/* ---- pieces ---- */

static size_t tap_line_room(const struct line *line)
{
    return line->size - line->length > SPARE_BYTES ? line->size - line->length - SPARE_BYTES : 0;
}

/* False when there is no room: then none is left for anybody. */
static bool tap_line_raw(struct line *line, const char *text)
{
    size_t n = strlen(text);

    if (n > tap_line_room(line)) {
        line->length = line->size - 2; /* for what line_end puts */
        return false;
    }
    memcpy(line->out + line->length, text, n);
    line->length += n;
    return true;
}

static void tap_line_string(struct line *line, struct text text)
{
    tap_line_raw(line, "\"");
    if (tap_line_room(line) > 0)
        line->length +=
            line_escape(line->out + line->length, tap_line_room(line), text.data ? text.data : "", text.length);
    tap_line_raw(line, "\"");
}

static void tap_line_fields(struct line *line, const char *key, struct tap_fields fields,
                            const struct tap_choice *choice)
{
    struct tap_field field;

    tap_line_raw(line, key);
    for (const char *comma = ""; tap_field_next(&fields, &field); comma = ",") {
        tap_line_raw(line, comma);
        tap_line_raw(line, "[");
        tap_line_string(line, field.name);
        tap_line_raw(line, ",");
        if (!choice->unredacted && (field.secret || tap_line_is_secret(field.name, choice->redact)))
            tap_line_raw(line, REDACTED);
        else
            tap_line_string(line, field.value);
        tap_line_raw(line, "]");
    }
    tap_line_raw(line, "]");
}

/* ---- bodies ---- */

/* Whether it reads as text; one that was cut may end within a character, which is left out then. */
static bool tap_line_is_text(struct text *body, bool cut)
{
    const unsigned char *bytes = (const unsigned char *)body->data;

    for (size_t i = 0; i < body->length;) {
        size_t n = utf8_length(bytes + i, body->length - i);

        if (n == 0 && cut && body->length - i < UTF8_MOST_BYTES && bytes[i] >= 0xc0) {
            body->length = i;
            return true;
        }
        if (n == 0 || bytes[i] == 0x7f || (bytes[i] < 0x20 && !strchr("\t\r\n", bytes[i])) || bytes[i] == '\0')
            return false;
        i += n;
    }
    return true;
}

static void tap_line_base64(struct line *line, struct text body)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = (const unsigned char *)body.data;

    if ((body.length + 2) / 3 * 4 > tap_line_room(line)) {
        line->length = line->size - 2;
        return;
    }
    for (size_t i = 0; i < body.length; i += 3) {
        size_t n = body.length - i;
        unsigned v = (unsigned)b[i] << 16 | (n > 1 ? (unsigned)b[i + 1] << 8 : 0) | (n > 2 ? b[i + 2] : 0);
        char *to = line->out + line->length;

        to[0] = digits[v >> 18];
        to[1] = digits[v >> 12 & 63];
        to[2] = n > 1 ? digits[v >> 6 & 63] : '=';
        to[3] = n > 2 ? digits[v & 63] : '=';
        line->length += 4;
    }
}

static void tap_line_body(struct line *line, const char *key, struct text body, uint64_t whole_bytes,
                          const struct tap_choice *choice)
{
    bool cut;

    if (body.length > choice->body_bytes)
        body.length = choice->body_bytes;
    cut = body.length < whole_bytes;
    line_put_number(line, key, whole_bytes);
    if (tap_line_is_text(&body, cut)) {
        tap_line_raw(line, ",\"text\":");
        tap_line_string(line, body);
    } else {
        tap_line_raw(line, ",\"base64\":\"");
        tap_line_base64(line, body);
        tap_line_raw(line, "\"");
    }
    tap_line_raw(line, cut ? ",\"cut\":true}" : "}");
}

static void tap_line_bodies(struct line *line, const struct tap_view *view, const struct tap_choice *choice)
{
    const struct record *record = &view->record;
    uint64_t received = record->received_bytes - record->tunnel_received_bytes;
    uint64_t sent = record->sent_bytes - record->tunnel_sent_bytes;

    if (received > 0 || view->message.request_body.length > 0)
        tap_line_body(line, "request_body\":{\"bytes", view->message.request_body, received, choice);
    if (sent > 0 || view->message.response_body.length > 0)
        tap_line_body(line, "response_body\":{\"bytes", view->message.response_body, sent, choice);
}

/* ---- lines ---- */

static const char *tap_line_event(unsigned event)
{
    switch (event) {
    case RECORD_TUNNEL_BEGIN:
        return "tunnel_begin";
    case RECORD_TUNNEL_END:
        return "tunnel_end";
    default:
        return "exchange";
    }
}

size_t tap_line_write(const struct tap_view *view, const struct tap_choice *choice, char *out, size_t size)
{
    const struct record *record = &view->record;
    struct tap_memo *memo = choice->memo;
    struct line line;
    size_t length;

    if (size < LOG_LINE_BYTES)
        return 0;
    line_begin_again(&line, memo ? &memo->record.time : NULL, LOG_FORMAT_JSON, record->time, out, size);
    line_put_text_again(&line, memo ? &memo->event : NULL, "event", text_of(tap_line_event(record->event)), SIZE_MAX);
    access_log_put(&line, record, memo ? &memo->record : NULL);
    if (record->method.length > 0)
        line_put_text_again(&line, memo ? &memo->http : NULL, "http", text_of(record->minor == 0 ? "1.0" : "1.1"),
                            SIZE_MAX);
    if (choice->heads && view->has_heads) {
        tap_line_fields(&line, ",\"request_headers\":[", view->message.request_fields, choice);
        tap_line_fields(&line, ",\"response_headers\":[", view->message.response_fields, choice);
    }
    if (choice->body_bytes > 0 && view->body_most > 0)
        tap_line_bodies(&line, view, choice);
    length = line.length;
    return size - length < SPARE_BYTES ? 0 : line_end(&line);
}

size_t tap_line_lost(uint64_t n_lost, char *out, size_t size)
{
    struct line line;

    line_begin(&line, LOG_FORMAT_JSON, wall_time_now(), out, size);
    line_put_text(&line, "event", TEXT_LITERAL("lost"), SIZE_MAX);
    line_put_number(&line, "lost", n_lost);
    return line_end(&line);
}
