#include "proxy/http/response.h"

#include "proxy/http/authentication.h"
#include "proxy/http/bytes.h"

/* Looking at the status line anew on each call must not cost more than a constant. */
#define RESPONSE_MAX_STATUS_LINE_BYTES 1024

static enum response_result response_bad(const char **ret_why, const char *why)
{
    *ret_why = why;
    return RESPONSE_BAD;
}

/* Whether `data` begins like a status line, as far as it goes. */
static bool response_begins_well(struct text data)
{
    static const char least[] = "HTTP/1.0 100", most[] = "HTTP/1.1 999";
    size_t n = data.length < sizeof(least) - 1 ? data.length : sizeof(least) - 1;
    /* Nearly all have the version of `most`, which is one comparison of eight bytes. */
    enum { VERSION_BYTES = sizeof("HTTP/1.1") - 1 };
    size_t known = n >= VERSION_BYTES && memcmp(data.data, most, VERSION_BYTES) == 0 ? VERSION_BYTES : 0;

    for (size_t i = known; i < n; i++)
        if (data.data[i] < least[i] || data.data[i] > most[i])
            return false;
    return true;
}

static unsigned response_digit(char c)
{
    return (unsigned)(c - '0');
}

/* "HTTP/1.1 200" and what follows it, RFC 9112 4. The SP after the code may be missing when the reason is: many
 * servers leave it out, and nothing else can be meant. */
static enum response_result response_parse_status_line(struct text data, struct response *response, size_t *ret_used,
                                                       const char **ret_why)
{
    const size_t minor = sizeof("HTTP/1.") - 1, code = sizeof("HTTP/1.1 ") - 1, reason = code + 3;
    size_t end;

    if (!response_begins_well(data))
        return response_bad(ret_why, "the answer does not begin with HTTP/1.0 or HTTP/1.1 and a status code");
    if (data.length <= reason)
        return RESPONSE_MORE;
    if (data.data[reason] != ' ' && data.data[reason] != '\r')
        return response_bad(ret_why, "the status code is not three digits");
    end = reason + text_span(text_skip(data, reason), BYTE_VALUE);
    if (end > RESPONSE_MAX_STATUS_LINE_BYTES)
        return response_bad(ret_why, "the status line is too long");
    if (end < data.length && data.data[end] != '\r')
        return response_bad(ret_why, "the reason phrase has a control byte");
    if (data.length - end < 2)
        return RESPONSE_MORE;
    if (data.data[end + 1] != '\n')
        return response_bad(ret_why, "the status line has a bare CR");
    response->minor = response_digit(data.data[minor]);
    response->status = response_digit(data.data[code]) * 100 + response_digit(data.data[code + 1]) * 10 +
                       response_digit(data.data[code + 2]);
    response->reason = text_trim((struct text){data.data + reason, end - reason});
    *ret_used = end + 2;
    return RESPONSE_DONE;
}

/* Looks for the empty line, from where the last search ended. */
static enum response_result response_find_end(struct text data, size_t status_line_bytes, size_t *scanned,
                                              size_t *ret_end, const char **ret_why)
{
    size_t at = *scanned > status_line_bytes ? *scanned : status_line_bytes;

    while (at < data.length) {
        const char *lf = memchr(data.data + at, '\n', data.length - at);

        if (!lf)
            break;
        if (lf[-1] != '\r')
            return response_bad(ret_why, "a line ends in a bare LF");
        at = (size_t)(lf - data.data) + 1;
        if (lf[-2] == '\n') {
            *ret_end = at;
            return RESPONSE_DONE;
        }
    }
    *scanned = data.length;
    return RESPONSE_MORE;
}

/* Collects Content-Length and Transfer-Encoding, and on the way what is said about the connection. */
static const char *response_read_fields(struct response *response, bool *ret_chunked)
{
    response->has_content_length = false;
    response->content_length = 0;
    response->personal = false;
    response->keep_ms = KEEP_ALIVE_SILENT;
    *ret_chunked = false;
    for (size_t i = 0; i < response->fields.n_items; i++) {
        const struct field *field = &response->fields.items[i];
        uint64_t length;

        if (field->id == FIELD_CONTENT_LENGTH) {
            if (!text_to_length(field->value, &length))
                return "Content-Length is not a number below 2^63";
            if (response->has_content_length && length != response->content_length)
                return "Content-Length fields that differ";
            response->has_content_length = true;
            response->content_length = length;
        } else if (field->id == FIELD_TRANSFER_ENCODING) {
            if (*ret_chunked)
                return "more than one Transfer-Encoding";
            if (!text_equal_nocase(field->value, TEXT_LITERAL("chunked")))
                return "Transfer-Encoding is not chunked";
            *ret_chunked = true;
        } else if (field->id == FIELD_WWW_AUTHENTICATE || field->id == FIELD_PROXY_AUTHENTICATE) {
            response->personal = response->personal || authentication_is_personal(field->value);
        } else if (field->id == FIELD_KEEP_ALIVE) {
            uint64_t ms = keep_alive_ms(field->value);

            response->keep_ms = ms < response->keep_ms ? ms : response->keep_ms;
        }
    }
    if (*ret_chunked && response->has_content_length)
        return "both Content-Length and Transfer-Encoding";
    if (*ret_chunked && response->minor == 0)
        return "Transfer-Encoding in HTTP/1.0";
    return NULL;
}

/* RFC 9112 6.3. */
static enum body_kind response_body(const struct response *response, bool to_head, bool chunked)
{
    if (to_head || response->status < 200 || response->status == 204 || response->status == 304)
        return BODY_NONE;
    if (chunked)
        return BODY_CHUNKED;
    return response->has_content_length ? BODY_LENGTH : BODY_UNTIL_CLOSE;
}

/* RFC 9112 9.3, and no trust in a target that announces content where there can't be any (RFC 9110 8.6, RFC 9112 6.1):
 * it may send it. */
static bool response_is_reusable(const struct response *response, bool chunked,
                                 const struct connection_options *options)
{
    bool never_content = response->status < 200 || response->status == 204;

    if (options->close || response->status == 101 || response->body == BODY_UNTIL_CLOSE || response->keep_ms == 0)
        return false;
    if (never_content && (chunked || response->content_length > 0))
        return false;
    return response->minor == 1 || options->keep_alive;
}

static bool response_has_upgrade(const struct response *response)
{
    for (size_t i = 0; i < response->fields.n_items; i++)
        if (response->fields.items[i].id == FIELD_UPGRADE)
            return true;
    return false;
}

static const char *response_check(struct response *response, bool to_head)
{
    struct connection_options options;
    bool chunked;
    const char *why = response_read_fields(response, &chunked);

    if (why)
        return why;
    if (!fields_mark_hop_by_hop(&response->fields, &options))
        return "Connection is not a list of tokens";
    response->upgrade = options.upgrade && response_has_upgrade(response);
    response->body = response_body(response, to_head, chunked);
    response->reusable = response_is_reusable(response, chunked, &options);
    return NULL;
}

enum response_result response_parse(const char *data, size_t length, size_t *scanned, bool to_head,
                                    struct response *response, size_t *ret_used, const char **ret_why)
{
    struct text head = {data, length};
    size_t status_line_bytes, end;
    enum response_result result;
    const char *why;

    result = response_parse_status_line(head, response, &status_line_bytes, ret_why);
    if (result != RESPONSE_DONE)
        return result;
    result = response_find_end(head, status_line_bytes, scanned, &end, ret_why);
    if (result != RESPONSE_DONE)
        return result;
    why = fields_parse((struct text){data + status_line_bytes, end - 2 - status_line_bytes}, &response->fields);
    if (!why)
        why = response_check(response, to_head);
    if (why)
        return response_bad(ret_why, why);
    *ret_used = end;
    return RESPONSE_DONE;
}
