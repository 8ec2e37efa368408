#include "proxy/http/json_media.h"

#include "proxy/http/bytes.h"

static struct text json_media_token(struct text *rest)
{
    struct text token = {rest->data, text_span(*rest, BYTE_TOKEN)};

    *rest = text_skip(*rest, token.length);
    return token;
}

static bool json_media_skip(struct text *rest, char c)
{
    if (rest->length == 0 || rest->data[0] != c)
        return false;
    *rest = text_skip(*rest, 1);
    return true;
}

static bool json_media_names_json(struct text type, struct text subtype)
{
    static const struct text suffix = {"+json", 5};

    if (text_equal_nocase(type, TEXT_LITERAL("application")) && text_equal_nocase(subtype, TEXT_LITERAL("json")))
        return true;
    return type.length > 0 && subtype.length > suffix.length &&
           text_equal_nocase(text_skip(subtype, subtype.length - suffix.length), suffix);
}

/* RFC 9110 8.3.1. */
static bool json_media_is_json(struct text value)
{
    struct text rest = value, type = json_media_token(&rest), subtype, name, charset;
    bool quoted;

    if (!json_media_skip(&rest, '/'))
        return false;
    subtype = json_media_token(&rest);
    if (!json_media_names_json(type, subtype))
        return false;
    rest = text_trim(rest);
    if (rest.length == 0)
        return true;
    if (!json_media_skip(&rest, ';'))
        return false;
    rest = text_trim(rest);
    name = json_media_token(&rest);
    if (!text_equal_nocase(name, TEXT_LITERAL("charset")) || !json_media_skip(&rest, '='))
        return false;
    quoted = json_media_skip(&rest, '"');
    charset = json_media_token(&rest);
    if (quoted && !json_media_skip(&rest, '"'))
        return false;
    return rest.length == 0 && text_equal_nocase(charset, TEXT_LITERAL("utf-8"));
}

/* The one field of a name, NULL when there is none. False when there are several, or one that some take for it. */
static bool json_media_find(const struct fields *fields, struct text name, const struct field **ret_field)
{
    char folded[FIELD_FOLDED_BYTES];

    *ret_field = NULL;
    for (size_t i = 0; i < fields->n_items; i++) {
        const struct field *field = &fields->items[i];

        if (field->drop || field->name.length != name.length ||
            !text_equal_nocase(field_fold(field->name, folded), name))
            continue;
        if (*ret_field || !text_equal_nocase(field->name, name))
            return false;
        *ret_field = field;
    }
    return true;
}

const char *json_media_objection(const struct fields *fields)
{
    const struct field *type, *coding;

    if (!json_media_find(fields, TEXT_LITERAL("Content-Type"), &type) ||
        !json_media_find(fields, TEXT_LITERAL("Content-Encoding"), &coding))
        return "the body's type or coding came twice, or under a name that some take for the same";
    if (type && !json_media_is_json(type->value))
        return "the body is no JSON in UTF-8, says its Content-Type";
    if (coding && !text_equal_nocase(coding->value, TEXT_LITERAL("identity")))
        return "the body is coded, says its Content-Encoding";
    return NULL;
}
