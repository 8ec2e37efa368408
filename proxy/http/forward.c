#include "proxy/http/forward.h"

#include "proxy/http/bytes.h"
#include "proxy/http/head_writer.h"
#include "proxy/http/upgrade.h"

static void forward_line(const struct request *request, const struct forward_edit *edit, struct head_writer *writer)
{
    struct text origin = edit && edit->origin.length > 0 ? edit->origin : request->origin;

    head_put(writer, request->method);
    HEAD_PUT(writer, " ");
    if (origin.data[0] == '?') /* from "http://host?query" */
        HEAD_PUT(writer, "/");
    head_put(writer, origin);
    HEAD_PUT(writer, " HTTP/1.1\r\n");
    head_put_field(writer, TEXT_LITERAL("Host"), edit && edit->host.length > 0 ? edit->host : request->authority);
}

/* Which fields of our own the client's head already has, and which a route keeps us from writing. */
struct forward_seen {
    bool forwarded_host, forwarded_proto, forwarded_for;
    unsigned replaced; /* FIELD_BIT */
};

/* Whether every quoted string (RFC 9110 5.6.4) ends within the value, so that a line of ours behind it stays outside
 * when a recipient joins them. */
static bool text_is_quoted_well(struct text s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.length; i++) {
        if (s.data[i] == '"')
            quoted = !quoted;
        else if (s.data[i] == '\\' && quoted)
            i++;
    }
    return !quoted;
}

/* Copies what is the client's to say. */
static void forward_fields(const struct request *request, const struct forward *forward, struct head_writer *writer,
                           struct forward_seen *ret_seen)
{
    const struct edits *edits = forward->edit ? forward->edit->edits : NULL;

    for (size_t i = 0; i < request->fields.n_items; i++) {
        const struct field *field = &request->fields.items[i];

        if (field->drop || (edits && edits_hide(edits, field->name)))
            continue;
        switch (field->id) {
        case FIELD_HOST:
        case FIELD_EXPECT:
        case FIELD_X_REQUEST_ID:
            continue;
        case FIELD_TRACEPARENT:
            if (forward->trace.length > 0)
                continue;
            break;
        case FIELD_TRACESTATE:
            if (forward->trace.length > 0 && forward->trace_begun)
                continue;
            break;
        case FIELD_TRAILER:
            if (request->body != BODY_CHUNKED)
                continue;
            break;
        case FIELD_FORWARDED:
            if (!text_is_quoted_well(field->value))
                continue;
            break;
        case FIELD_X_FORWARDED_FOR:
            ret_seen->forwarded_for = true;
            if (forward->client_address.length > 0 && !forward->silent)
                continue;
            break;
        case FIELD_X_FORWARDED_HOST:
            ret_seen->forwarded_host = true;
            break;
        case FIELD_X_FORWARDED_PROTO:
            ret_seen->forwarded_proto = true;
            break;
        default:
            break;
        }
        head_put_field(writer, field->name, field->value);
    }
}

static void forward_framing(const struct request *request, const struct forward *forward, struct head_writer *writer)
{
    if (request->body == BODY_CHUNKED) {
        HEAD_PUT(writer, "Transfer-Encoding: chunked\r\n");
    } else if (request->body == BODY_LENGTH) {
        HEAD_PUT(writer, "Content-Length: ");
        head_put_number(writer, request->content_length);
        HEAD_PUT(writer, "\r\n");
    }
    if (forward->expect_continue)
        HEAD_PUT(writer, "Expect: 100-continue\r\n");
}

/* The fields of this hop, RFC 9110 7.6.1, 7.8 and 10.1.4. */
static void forward_offers(const struct request *request, const struct forward *forward, struct head_writer *writer)
{
    struct upgrade_offers offers = {request, forward->upgrade_allowed, 0, {NULL, 0}};
    struct text protocol;

    if (upgrade_next_offer(&offers, &protocol)) {
        head_put(writer, request->trailers ? TEXT_LITERAL("Connection: Upgrade, TE\r\nUpgrade: ")
                                           : TEXT_LITERAL("Connection: Upgrade\r\nUpgrade: "));
        head_put(writer, protocol);
        while (upgrade_next_offer(&offers, &protocol)) {
            HEAD_PUT(writer, ", ");
            head_put(writer, protocol);
        }
        HEAD_PUT(writer, "\r\n");
    } else if (request->trailers) {
        HEAD_PUT(writer, "Connection: TE\r\n");
    }
    if (request->trailers)
        HEAD_PUT(writer, "TE: trailers\r\n");
}

/* One line for all: few readers of this field join several. */
static void forward_forwarded_for(const struct request *request, bool seen, struct text client_address,
                                  struct head_writer *writer)
{
    if (client_address.length == 0)
        return;
    HEAD_PUT(writer, "X-Forwarded-For: ");
    for (size_t i = 0; seen && i < request->fields.n_items; i++) {
        const struct field *field = &request->fields.items[i];

        if (field->id != FIELD_X_FORWARDED_FOR || field->drop || field->value.length == 0)
            continue;
        head_put(writer, field->value);
        HEAD_PUT(writer, ", ");
    }
    head_put(writer, client_address);
    HEAD_PUT(writer, "\r\n");
}

/* RFC 7239 4; a value that isn't a token is quoted. Nothing in an authority needs escaping. */
static void forward_forwarded(const struct request *request, const struct forward *forward, struct head_writer *writer)
{
    HEAD_PUT(writer, "Forwarded: for=");
    head_put(writer, forward->client_node);
    if (request->authority.length > 0) {
        bool quoted = !text_is_token(request->authority);

        head_put(writer, quoted ? TEXT_LITERAL(";host=\"") : TEXT_LITERAL(";host="));
        head_put(writer, request->authority);
        if (quoted)
            HEAD_PUT(writer, "\"");
    }
    HEAD_PUT(writer, ";proto=http\r\n");
}

static void forward_client(const struct request *request, const struct forward *forward,
                           const struct forward_seen *seen, struct head_writer *writer)
{
    if (!(seen->replaced & FIELD_BIT(FIELD_FORWARDED)))
        forward_forwarded(request, forward, writer);
    if (!(seen->replaced & FIELD_BIT(FIELD_X_FORWARDED_FOR)))
        forward_forwarded_for(request, seen->forwarded_for, forward->client_address, writer);
    if (!seen->forwarded_host && request->authority.length > 0)
        head_put_field(writer, TEXT_LITERAL("X-Forwarded-Host"), request->authority);
    if (!seen->forwarded_proto)
        HEAD_PUT(writer, "X-Forwarded-Proto: http\r\n");
}

/* What we have to say about where the request comes from. */
static void forward_origin(const struct request *request, const struct forward *forward,
                           const struct forward_seen *seen, struct head_writer *writer)
{
    head_put(writer,
             request->minor == 0 ? TEXT_LITERAL("Via: 1.0 porthole\r\n") : TEXT_LITERAL("Via: 1.1 porthole\r\n"));
    if (!forward->silent)
        forward_client(request, forward, seen, writer);
    if (forward->request_id.length > 0 && !(seen->replaced & FIELD_BIT(FIELD_X_REQUEST_ID)))
        head_put_field(writer, TEXT_LITERAL("X-Request-Id"), forward->request_id);
    if (forward->trace.length > 0 && !(seen->replaced & FIELD_BIT(FIELD_TRACEPARENT)))
        head_put_field(writer, TEXT_LITERAL("traceparent"), forward->trace);
}

size_t forward_write(const struct request *request, const struct forward *forward, char *out, size_t size)
{
    struct head_writer writer = {.out = out, .size = size};
    const struct forward_edit *edit = forward->edit;
    struct forward_seen seen = {0};

    if (edit) {
        seen.replaced = edit->edits->replaced;
        seen.forwarded_host = seen.replaced & FIELD_BIT(FIELD_X_FORWARDED_HOST);
        seen.forwarded_proto = seen.replaced & FIELD_BIT(FIELD_X_FORWARDED_PROTO);
    }
    forward_line(request, edit, &writer);
    forward_fields(request, forward, &writer, &seen);
    if (edit)
        head_put(&writer, edit->lines);
    forward_framing(request, forward, &writer);
    if (request->upgrade || request->trailers)
        forward_offers(request, forward, &writer);
    forward_origin(request, forward, &seen, &writer);
    HEAD_PUT(&writer, "\r\n");
    return writer.full ? 0 : writer.length;
}
