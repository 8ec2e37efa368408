#include "proxy/http/request.h"

#include <arpa/inet.h>

#include "proxy/http/bytes.h"
#include "proxy/http/head_writer.h"
#include "proxy/http/upgrade.h"

#define REQUEST_MAX_ID_BYTES 128
#define REQUEST_MAX_PORT 65535

/* What the walk over the fields found for the later checks. */
struct request_facts {
    const struct field *host; /* NULL when not there, like the next two */
    const struct field *content_length;
    const struct field *transfer_encoding;
    bool expect_continue;
    bool upgrade_field;
    bool te_trailers;
};

/* Stores a field of which there may be only one; false when there was one already. */
static bool request_take_single(const struct field **slot, const struct field *field)
{
    if (*slot)
        return false;
    *slot = field;
    return true;
}

/* RFC 9110 10.1.4. The keyword takes no parameters; what a client adds nevertheless takes nothing back. */
static bool request_lists_trailers(struct text te)
{
    struct text coding;

    while (text_next_element(&te, &coding)) {
        const char *end = memchr(coding.data, ';', coding.length);

        if (end)
            coding.length = (size_t)(end - coding.data);
        if (text_equal_nocase(text_trim(coding), TEXT_LITERAL("trailers")))
            return true;
    }
    return false;
}

static const char *request_check_field(struct field *field, struct request_facts *facts, unsigned *status)
{
    if (!text_is_token(field->name))
        return "a field name is not a token";
    field->value = text_trim(field->value);
    if (!text_is_field_value(field->value))
        return "a field value has a control byte";
    field->drop = false;
    field->id = field_identify(field->name);
    switch (field->id) {
    case FIELD_HOST:
        return request_take_single(&facts->host, field) ? NULL : "more than one Host";
    case FIELD_CONTENT_LENGTH:
        return request_take_single(&facts->content_length, field) ? NULL : "more than one Content-Length";
    case FIELD_TRANSFER_ENCODING:
        return request_take_single(&facts->transfer_encoding, field) ? NULL : "more than one Transfer-Encoding";
    case FIELD_EXPECT:
        facts->expect_continue = true;
        if (text_equal_nocase(field->value, TEXT_LITERAL("100-continue")))
            return NULL;
        *status = 417;
        return "Expect is not 100-continue";
    case FIELD_UPGRADE:
        facts->upgrade_field = true;
        return NULL;
    case FIELD_TE:
        facts->te_trailers = facts->te_trailers || request_lists_trailers(field->value);
        return NULL;
    default:
        return NULL;
    }
}

static const char *request_check_fields(struct request *request, struct request_facts *facts, unsigned *status)
{
    struct connection_options options;

    for (size_t i = 0; i < request->fields.n_items; i++) {
        const char *why = request_check_field(&request->fields.items[i], facts, status);

        if (why)
            return why;
    }
    if (!fields_mark_hop_by_hop(&request->fields, &options))
        return "Connection is not a list of tokens";
    request->close = options.close || (request->minor == 0 && !options.keep_alive);
    request->upgrade = options.upgrade && facts->upgrade_field && request->minor == 1; /* RFC 9110 7.8 */
    request->trailers = facts->te_trailers && request->minor == 1;
    return NULL;
}

/* RFC 9112 6.1, 6.3. Whatever two readers could frame differently is refused, also where the RFC would let a
 * recipient repair it. */
static const char *request_check_framing(struct request *request, const struct request_facts *facts)
{
    request->body = BODY_NONE;
    request->content_length = 0;
    if (facts->transfer_encoding) {
        if (facts->content_length)
            return "both Content-Length and Transfer-Encoding";
        if (request->minor == 0)
            return "Transfer-Encoding in HTTP/1.0";
        if (!text_equal_nocase(facts->transfer_encoding->value, TEXT_LITERAL("chunked")))
            return "Transfer-Encoding is not chunked";
        request->body = BODY_CHUNKED;
    } else if (facts->content_length) {
        if (!text_to_length(facts->content_length->value, &request->content_length))
            return "Content-Length is not a number below 2^63";
        request->body = BODY_LENGTH;
    }
    /* RFC 9110 10.1.1: HTTP/1.0 has no 100, and without content there is nothing to wait for */
    request->expect_continue =
        facts->expect_continue && request->minor == 1 && (request->body == BODY_CHUNKED || request->content_length > 0);
    return NULL;
}

/* RFC 3986 3.2.2 reg-name (IPv4 addresses are among them). An escape of a character that needs none is a second
 * spelling of the same name, which a route by host would not know: refused. */
static bool request_is_reg_name(struct text s)
{
    while (s.length > 0) {
        size_t used = text_span(s, BYTE_REG_NAME);

        if (used == 0) {
            int byte = s.data[0] == '%' ? text_unescape(s) : -1;

            if (byte < 0 || byte_is((char)byte, BYTE_UNRESERVED))
                return false;
            used = 3;
        }
        s = text_skip(s, used);
    }
    return true;
}

/* RFC 3986 3.2.2 IPv6address. IPvFuture is refused: no such version exists. */
static bool request_is_ipv6(struct text s)
{
    char terminated[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.length >= sizeof(terminated) || memchr(s.data, '\0', s.length))
        return false;
    memcpy(terminated, s.data, s.length);
    terminated[s.length] = '\0';
    return inet_pton(AF_INET6, terminated, &address) == 1;
}

/* ":" and a port that may be empty (RFC 3986 3.2.3), or nothing at all. */
static bool request_is_port_suffix(struct text s)
{
    uint64_t port;

    if (s.length == 0)
        return true;
    if (s.data[0] != ':')
        return false;
    return s.length == 1 || (text_to_length(text_skip(s, 1), &port) && port <= REQUEST_MAX_PORT);
}

/* uri-host [ ":" port ] with a host that isn't empty. Userinfo fails: '@' is in no host. */
static bool request_is_authority(struct text s)
{
    const char *end;
    size_t n;

    if (s.length == 0)
        return false;
    if (s.data[0] == '[') {
        end = memchr(s.data, ']', s.length);
        if (!end)
            return false;
        n = (size_t)(end - s.data);
        return request_is_ipv6((struct text){s.data + 1, n - 1}) && request_is_port_suffix(text_skip(s, n + 1));
    }
    end = memchr(s.data, ':', s.length);
    n = end ? (size_t)(end - s.data) : s.length;
    return n > 0 && request_is_reg_name((struct text){s.data, n}) && request_is_port_suffix(text_skip(s, n));
}

/* RFC 9112 3.2: HTTP/1.1 asks for exactly one Host. It may be empty (a client whose URI has no authority
 * sends that), but not an empty host with a port. Where HTTP/1.0 has none, the target gets "localhost", as curl sends
 * over a Unix socket: many servers refuse an empty one. */
static const char *request_check_host(struct request *request, const struct request_facts *facts)
{
    request->authority = TEXT_LITERAL("localhost");
    if (!facts->host)
        return request->minor == 0 ? NULL : "no Host";
    /* cpp-httplib up to 0.15 sends the path of the socket it called: there is no authority to preserve. */
    if (request->local && facts->host->value.length > 0 && facts->host->value.data[0] == '/')
        return NULL;
    if (facts->host->value.length > 0 && !request_is_authority(facts->host->value))
        return "Host is not a host with an optional port";
    request->authority = facts->host->value;
    return NULL;
}

/* What follows "http://" or "https://"; nothing when the target begins otherwise. */
static struct text request_after_scheme(struct text target)
{
    static const struct text schemes[] = {{"http://", 7}, {"https://", 8}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (target.length >= schemes[i].length &&
            text_equal_nocase((struct text){target.data, schemes[i].length}, schemes[i]))
            return text_skip(target, schemes[i].length);
    return (struct text){NULL, 0};
}

/* RFC 9112 3.2.2: the authority of an absolute-form target replaces Host. */
static const char *request_check_absolute(struct request *request)
{
    struct text rest = request_after_scheme(request->target);
    size_t n = 0;

    while (n < rest.length && rest.data[n] != '/' && rest.data[n] != '?')
        n++;
    if (n == 0)
        return "the request-target is neither in origin-form nor an http URI";
    request->authority = (struct text){rest.data, n};
    if (!request_is_authority(request->authority))
        return "the authority of the request-target is not a host with an optional port";
    request->origin = text_skip(rest, n);
    if (request->origin.length == 0) /* RFC 9112 3.2.1, 3.2.4 */
        request->origin = text_equal(request->method, TEXT_LITERAL("OPTIONS")) ? TEXT_LITERAL("*") : TEXT_LITERAL("/");
    return NULL;
}

static const char *request_check_target(struct request *request)
{
    struct text target = request->target;

    if (target.length == 0 || text_span(target, BYTE_TARGET) != target.length)
        return "the request-target is empty or has a space, a control byte or a fragment";
    request->origin = target;
    if (target.data[0] == '/')
        return NULL;
    if (text_equal(target, TEXT_LITERAL("*")))
        return text_equal(request->method, TEXT_LITERAL("OPTIONS")) ? NULL : "* is for OPTIONS only";
    return request_check_absolute(request);
}

static const char *request_check_method(struct request *request, unsigned *status)
{
    static const struct text safe[] = {{"GET", 3}, {"HEAD", 4}, {"OPTIONS", 7}, {"TRACE", 5}};

    if (!text_is_token(request->method))
        return "the method is not a token";
    if (text_equal(request->method, TEXT_LITERAL("CONNECT"))) {
        *status = 501;
        return "CONNECT is not supported";
    }
    request->is_safe = false;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        request->is_safe = request->is_safe || text_equal(request->method, safe[i]);
    request->is_head = text_equal(request->method, TEXT_LITERAL("HEAD"));
    return NULL;
}

static const char *request_check_all(struct request *request, unsigned *status)
{
    struct request_facts facts = {0};
    const char *why;

    if (request->minor > 1) {
        *status = 505;
        return "the version is neither HTTP/1.0 nor HTTP/1.1";
    }
    if ((why = request_check_method(request, status)) || (why = request_check_fields(request, &facts, status)) ||
        (why = request_check_framing(request, &facts)) || (why = request_check_host(request, &facts)))
        return why;
    return request_check_target(request);
}

const char *request_check(struct request *request, unsigned *ret_status)
{
    unsigned status = 400;
    const char *why = request_check_all(request, &status);

    if (why)
        *ret_status = status;
    return why;
}

struct text request_given_id(const struct request *request)
{
    struct text id = {"", 0};

    for (size_t i = 0; i < request->fields.n_items; i++) {
        const struct field *field = &request->fields.items[i];

        if (field->id != FIELD_X_REQUEST_ID)
            continue;
        if (id.length > 0 || field->value.length > REQUEST_MAX_ID_BYTES || !text_is_token(field->value))
            return (struct text){"", 0};
        id = field->value;
    }
    return id;
}

static void head_put_number(struct head_writer *writer, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);

    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    head_put(writer, (struct text){digits + i, sizeof(digits) - i});
}

static void request_write_line(const struct request *request, struct head_writer *writer)
{
    head_put(writer, request->method);
    HEAD_PUT(writer, " ");
    if (request->origin.data[0] == '?') /* from "http://host?query" */
        HEAD_PUT(writer, "/");
    head_put(writer, request->origin);
    HEAD_PUT(writer, " HTTP/1.1\r\n");
    head_put_field(writer, TEXT_LITERAL("Host"), request->authority);
}

/* Which fields of our own the client's head already has. */
struct request_seen {
    bool forwarded_host, forwarded_proto, forwarded_for;
};

/* Copies what is the client's to say. */
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

static void request_write_fields(const struct request *request, const struct forward *forward,
                                 struct head_writer *writer, struct request_seen *ret_seen)
{
    for (size_t i = 0; i < request->fields.n_items; i++) {
        const struct field *field = &request->fields.items[i];

        switch (field->id) {
        case FIELD_HOST:
        case FIELD_EXPECT:
        case FIELD_X_REQUEST_ID:
            continue;
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
            if (forward->client_address.length > 0)
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
        if (!field->drop)
            head_put_field(writer, field->name, field->value);
    }
}

static void request_write_framing(const struct request *request, const struct forward *forward,
                                  struct head_writer *writer)
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
static void request_write_offers(const struct request *request, const struct forward *forward,
                                 struct head_writer *writer)
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
static void request_write_forwarded_for(const struct request *request, bool seen, struct text client_address,
                                        struct head_writer *writer)
{
    if (client_address.length == 0)
        return;
    HEAD_PUT(writer, "X-Forwarded-For: ");
    for (size_t i = 0; seen && i < request->fields.n_items; i++) {
        const struct field *field = &request->fields.items[i];

        if (field->id != FIELD_X_FORWARDED_FOR || field->value.length == 0)
            continue;
        head_put(writer, field->value);
        HEAD_PUT(writer, ", ");
    }
    head_put(writer, client_address);
    HEAD_PUT(writer, "\r\n");
}

/* RFC 7239 4; a value that isn't a token is quoted. Nothing in an authority needs escaping. */
static void request_write_forwarded(const struct request *request, const struct forward *forward,
                                    struct head_writer *writer)
{
    HEAD_PUT(writer, "Forwarded: for=");
    head_put(writer, forward->client_node);
    if (request->authority.length > 0) {
        struct text quote = text_is_token(request->authority) ? TEXT_LITERAL("") : TEXT_LITERAL("\"");

        HEAD_PUT(writer, ";host=");
        head_put(writer, quote);
        head_put(writer, request->authority);
        head_put(writer, quote);
    }
    HEAD_PUT(writer, ";proto=http\r\n");
}

/* What we have to say about where the request comes from. */
static void request_write_origin(const struct request *request, const struct forward *forward,
                                 const struct request_seen *seen, struct head_writer *writer)
{
    head_put(writer,
             request->minor == 0 ? TEXT_LITERAL("Via: 1.0 porthole\r\n") : TEXT_LITERAL("Via: 1.1 porthole\r\n"));
    request_write_forwarded(request, forward, writer);
    request_write_forwarded_for(request, seen->forwarded_for, forward->client_address, writer);
    if (!seen->forwarded_host && request->authority.length > 0)
        head_put_field(writer, TEXT_LITERAL("X-Forwarded-Host"), request->authority);
    if (!seen->forwarded_proto)
        HEAD_PUT(writer, "X-Forwarded-Proto: http\r\n");
    if (forward->request_id.length > 0)
        head_put_field(writer, TEXT_LITERAL("X-Request-Id"), forward->request_id);
}

size_t request_write(const struct request *request, const struct forward *forward, char *out, size_t size)
{
    struct head_writer writer = {.out = out, .size = size};
    struct request_seen seen = {0};

    request_write_line(request, &writer);
    request_write_fields(request, forward, &writer, &seen);
    request_write_framing(request, forward, &writer);
    if (request->upgrade || request->trailers)
        request_write_offers(request, forward, &writer);
    request_write_origin(request, forward, &seen, &writer);
    HEAD_PUT(&writer, "\r\n");
    return writer.full ? 0 : writer.length;
}
