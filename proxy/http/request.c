#include "proxy/http/request.h"

#include "proxy/http/authentication.h"
#include "proxy/http/authority.h"
#include "proxy/http/bytes.h"
#include "proxy/http/claims.h"

/* What the walk over the fields found for the later checks. */
struct request_facts {
    const struct field *host; /* NULL when not there, like the next two */
    const struct field *content_length;
    const struct field *transfer_encoding;
    bool expect_continue;
    bool upgrade_field;
    bool te_trailers;
    bool personal;
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

static const char *request_check_field(struct field *field, bool trusted, struct request_facts *facts, unsigned *status)
{
    /* Nearly every name is made of letters, digits and "-": that is a token, and what it looks like. */
    bool odd = field->name.length == 0 || text_span(field->name, BYTE_NAME) != field->name.length;

    if (odd && !text_is_token(field->name))
        return "a field name is not a token";
    if (!text_is_field_value(field->value))
        return "a field value has a control byte";
    field->drop = (!trusted && claim_is(field->name)) || (odd && field_is_alias(field->name));
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
    case FIELD_AUTHORIZATION:
    case FIELD_PROXY_AUTHORIZATION:
        facts->personal = facts->personal || authentication_is_personal(field->value);
        return NULL;
    default:
        return NULL;
    }
}

static const char *request_check_fields(struct request *request, struct request_facts *facts, unsigned *status)
{
    struct connection_options options;

    for (size_t i = 0; i < request->fields.n_items; i++) {
        const char *why = request_check_field(&request->fields.items[i], request->trusted, facts, status);

        if (why)
            return why;
    }
    if (!fields_mark_hop_by_hop(&request->fields, &options))
        return "Connection is not a list of tokens";
    request->close = options.close || (request->minor == 0 && !options.keep_alive);
    request->upgrade = options.upgrade && facts->upgrade_field && request->minor == 1; /* RFC 9110 7.8 */
    request->personal = facts->personal;
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

/* RFC 9112 3.2: HTTP/1.1 asks for exactly one Host. It may be empty (a client whose URI has no authority
 * sends that), but not an empty host with a port. Where there is none, or over a Unix socket none that names a host,
 * the target gets "localhost", as curl sends it: many servers refuse an empty one. */
static const char *request_check_host(struct request *request, const struct request_facts *facts)
{
    bool is_valid;

    request->authority = TEXT_LITERAL("localhost");
    if (!facts->host)
        return request->minor == 0 ? NULL : "no Host";
    is_valid = authority_is_valid(facts->host->value);
    if (request->local && authority_names_socket(facts->host->value, is_valid))
        return NULL;
    if (facts->host->value.length > 0 && !is_valid)
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
    if (!authority_is_valid(request->authority))
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
    request->is_idempotent = request->is_safe || text_equal(request->method, TEXT_LITERAL("PUT")) ||
                             text_equal(request->method, TEXT_LITERAL("DELETE"));
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
        if (id.length > 0 || field->value.length == 0 || field->value.length > REQUEST_ID_MOST_BYTES ||
            text_span(field->value, BYTE_VISIBLE) != field->value.length)
            return (struct text){"", 0};
        id = field->value;
    }
    return id;
}

struct text request_given_trace(const struct request *request)
{
    struct text given = {"", 0};

    for (size_t i = 0; i < request->fields.n_items; i++) {
        if (request->fields.items[i].id != FIELD_TRACEPARENT)
            continue;
        if (given.length > 0)
            return (struct text){"", 0};
        given = request->fields.items[i].value;
    }
    return given;
}
