#include "proxy/http/location.h"

#include "proxy/http/bytes.h"

static size_t location_scheme_length(struct text text)
{
    static const struct text schemes[] = {{"http://", 7}, {"https://", 8}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (text.length >= schemes[i].length && memcmp(text.data, schemes[i].data, schemes[i].length) == 0)
            return schemes[i].length;
    return 0;
}

static const struct template_piece *location_first(const struct template *template)
{
    return template->n_pieces > 0 ? &template->pieces[0] : NULL;
}

/* Whether it names no host, so that it must not read as if it did. */
static bool location_is_path(const struct template *template)
{
    const struct template_piece *first = location_first(template);

    return first->kind != TEMPLATE_LITERAL || location_scheme_length(first->text) == 0;
}

/* ---- checking ---- */

static const char *location_check_literals(const struct template *template)
{
    for (size_t i = 0; i < template->n_pieces; i++) {
        struct text text = template->pieces[i].text;

        for (size_t j = 0; j < text.length; j++)
            if (!byte_is(text.data[j], BYTE_TARGET) && text.data[j] != '#')
                return "has white space or a control character; write it percent-encoded";
    }
    return NULL;
}

/* Walks the host and port behind the scheme, up to what ends them. */
static const char *location_check_host(const struct template *template, size_t scheme_length)
{
    bool any = false;

    for (size_t i = 0; i < template->n_pieces; i++) {
        const struct template_piece *piece = &template->pieces[i];
        struct text text = text_skip(piece->text, i == 0 ? scheme_length : 0);

        for (size_t j = 0; j < text.length; j++) {
            if (strchr("/?#", text.data[j]))
                return any ? NULL : "has no host behind its scheme";
            if (!byte_is(text.data[j], BYTE_REG_NAME) && !strchr(":[]", text.data[j]))
                return "has a character in its host that no host has";
            any = true;
        }
        if (piece->kind == TEMPLATE_REQUEST_PATH)
            return any ? NULL : "has no host behind its scheme";
        if (piece->kind == TEMPLATE_REQUEST_QUERY)
            return "has a query in its host; write a \"/\" or \"?\" in front of it";
        any = any || piece->kind == TEMPLATE_REQUEST_HOST;
    }
    return any ? NULL : "has no host behind its scheme";
}

const char *location_check(const struct template *template)
{
    const struct template_piece *first = location_first(template);
    const char *wrong = location_check_literals(template);

    if (wrong)
        return wrong;
    if (first && first->kind == TEMPLATE_REQUEST_PATH)
        return NULL;
    if (!first || first->kind != TEMPLATE_LITERAL)
        return "begins neither with \"/\" or ${request.path}, nor with http:// or https://";
    if (!location_is_path(template))
        return location_check_host(template, location_scheme_length(first->text));
    if (first->text.length == 0 || first->text.data[0] != '/')
        return "begins neither with \"/\" or ${request.path}, nor with http:// or https://";
    if (first->text.length > 1 ? first->text.data[1] == '/'
                               : template->n_pieces > 1 && template->pieces[1].kind == TEMPLATE_REQUEST_PATH)
        return "begins with \"//\", behind which a host stands; write its scheme, or one \"/\" only";
    return NULL;
}

/* ---- writing ---- */

/* Of a URI, RFC 3986 2; an escape is kept as it is. */
static bool location_may_have(char c)
{
    return byte_is(c, BYTE_UNRESERVED) || (c != '\0' && strchr(":/?#[]@!$&'()*+,;=%", c));
}

static void location_encode(struct text text, struct head_writer *writer)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (location_may_have(text.data[i]))
            head_put(writer, (struct text){text.data + i, 1});
        else
            head_put(writer, (struct text){(char[]){'%', digits[c >> 4], digits[c & 15]}, 3});
    }
}

/* What asks for a query that is not there. */
static struct text location_without_mark(const struct template *template, const struct template_values *values,
                                         struct text text)
{
    const struct template_piece *last = &template->pieces[template->n_pieces - 1];

    if (last->kind == TEMPLATE_REQUEST_QUERY && values->query.length == 0 && text.length > 0)
        text.length -= text.data[text.length - 1] == '?';
    return text;
}

enum location_verdict location_write(const struct template *template, const struct template_values *values,
                                     char *scratch, char *out, size_t size, size_t *ret_length)
{
    struct head_writer raw = {.out = scratch, .size = size}, writer = {.out = out, .size = size};
    struct template_values own = *values;
    struct text text;

    /* "OPTIONS *" is about the server as a whole. */
    if (text_equal(own.path, TEXT_LITERAL("*")))
        own.path = TEXT_LITERAL("/");
    if (own.host.length == 0 && template_kinds(template) & TEMPLATE_BIT(TEMPLATE_REQUEST_HOST))
        return LOCATION_NO_HOST;
    if (template_expand(template, &own, &raw) != TEMPLATE_DONE)
        return LOCATION_FULL;
    text = location_without_mark(template, values, (struct text){scratch, raw.length});
    location_encode(text, &writer);
    if (writer.full)
        return LOCATION_FULL;
    if (location_is_path(template) && writer.length > 1 && out[1] == '/')
        return LOCATION_ELSEWHERE;
    *ret_length = writer.length;
    return LOCATION_DONE;
}
