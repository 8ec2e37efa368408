#include "proxy/http/trailers.h"

#include "proxy/http/bytes.h"
#include "proxy/http/claims.h"
#include "proxy/http/head_writer.h"

/* A name in lower case; with a '*' at its end every name that begins so. */
struct trailers_rule {
    struct text pattern;
    bool keep;
};

#define DROP(pattern)                         \
    {                                         \
        {pattern, sizeof(pattern) - 1}, false \
    }
#define KEEP(pattern)                        \
    {                                        \
        {pattern, sizeof(pattern) - 1}, true \
    }

/* The first that fits decides; what none fits is kept. */
static const struct trailers_rule trailers_rules[] = {
    /* framing and the format of the content; the two digests are computed while it is sent (RFC 9530 2) */
    KEEP("content-digest"),
    KEEP("content-md5"),
    DROP("content-*"),
    DROP("transfer-encoding"),
    DROP("mime-version"),
    DROP("trailer"),
    /* this hop, RFC 9110 7.6.1 */
    DROP("connection"),
    DROP("keep-alive"),
    DROP("proxy-connection"),
    DROP("te"),
    DROP("upgrade"),
    DROP("http2-settings"),
    /* routing; who the client is, is in claims.def */
    DROP("host"),
    DROP("max-forwards"),
    DROP("via"),
    DROP("x-request-id"),
    DROP("traceparent"),
    DROP("tracestate"),
    DROP("alt-svc"),
    DROP("x-accel-*"),
    DROP("x-sendfile"),
    /* modifiers and conditions of a request; Accept-Ranges belongs to responses (RFC 9110 14.3 lets it come last) */
    KEEP("accept-ranges"),
    DROP("accept"),
    DROP("accept-*"),
    DROP("expect"),
    DROP("if-*"),
    DROP("prefer"),
    DROP("range"),
    DROP("origin"),
    DROP("referer"),
    DROP("user-agent"),
    DROP("from"),
    DROP("access-control-*"),
    DROP("sec-*"),
    /* credentials and cookies, RFC 9110 11, RFC 6265; Authentication-Info may come last (RFC 9110 11.6.3) */
    DROP("authorization"),
    DROP("www-authenticate"),
    DROP("proxy-authenticate"),
    DROP("proxy-authorization"),
    DROP("proxy-authentication-info"),
    DROP("cookie"),
    DROP("cookie2"),
    DROP("set-cookie"),
    DROP("set-cookie2"),
    DROP("realm"),
    /* controls of a response and of caches */
    DROP("age"),
    DROP("cache-control"),
    DROP("cdn-cache-control"),
    DROP("clear-site-data"),
    DROP("date"),
    DROP("expires"),
    DROP("last-modified"),
    DROP("location"),
    DROP("pragma"),
    DROP("refresh"),
    DROP("retry-after"),
    DROP("status"),
    DROP("strict-transport-security"),
    DROP("surrogate-control"),
    DROP("vary"),
    DROP("warning"),
};

static bool trailers_rule_fits(const struct trailers_rule *rule, struct text name)
{
    size_t n = rule->pattern.length - 1;

    if (rule->pattern.data[n] != '*')
        return text_equal_nocase(name, rule->pattern);
    return name.length >= n && text_equal_nocase((struct text){name.data, n}, (struct text){rule->pattern.data, n});
}

/* By the name as CGI would read it: a trailer of another spelling may be merged into the head, too. */
static bool trailers_is_forbidden(struct text given)
{
    char folded[FIELD_FOLDED_BYTES];
    struct text name = field_fold(given, folded);

    if (claim_is(name))
        return true;
    for (size_t i = 0; i < sizeof(trailers_rules) / sizeof(trailers_rules[0]); i++)
        if (trailers_rule_fits(&trailers_rules[i], name))
            return !trailers_rules[i].keep;
    return false;
}

static void trailers_mark_forbidden(struct fields *fields)
{
    for (size_t i = 0; i < fields->n_items; i++)
        fields->items[i].drop = trailers_is_forbidden(fields->items[i].name);
}

static bool text_ends_line(struct text s)
{
    return s.length >= 2 && memcmp(s.data + s.length - 2, "\r\n", 2) == 0;
}

const char *trailers_parse(struct text section, struct fields *fields)
{
    struct text lines = section;
    const char *why;

    fields->n_items = 0;
    if (!text_ends_line(section))
        return "a trailer section without an end";
    lines.length -= 2;
    if (lines.length > 0 && !text_ends_line(lines))
        return "a trailer section without an end";
    why = fields_parse(lines, fields);
    if (!why)
        trailers_mark_forbidden(fields);
    return why;
}

const char *trailers_check(struct fields *fields)
{
    for (size_t i = 0; i < fields->n_items; i++) {
        struct field *field = &fields->items[i];

        if (!text_is_token(field->name))
            return "a field name is not a token";
        field->value = text_trim(field->value);
        if (!text_is_field_value(field->value))
            return "a field value has a control byte";
        field->id = field_identify(field->name);
    }
    trailers_mark_forbidden(fields);
    return NULL;
}

size_t trailers_write(const struct fields *fields, char *out, size_t size)
{
    struct head_writer writer = {.out = out, .size = size};

    for (size_t i = 0; i < fields->n_items; i++)
        if (!fields->items[i].drop)
            head_put_field(&writer, fields->items[i].name, fields->items[i].value);
    return writer.full ? SIZE_MAX : writer.length;
}
