#include "proxy/http/fields.h"

#include "proxy/http/bytes.h"
#include "proxy/http/claims.h"

/* A Connection field names one or two fields in practice. Each name costs a walk over all fields, so the
 * number is bounded: a head of nothing but names must not cost the square of its size. */
#define FIELDS_MAX_NAMED 64

struct field_info {
    struct text name;
    enum field_class class;
};

static const struct field_info field_table[N_FIELD_IDS] = {
    [FIELD_OTHER] = {{"", 0}, FIELD_CLASS_END},
#define FIELD(id, name, class) [FIELD_##id] = {{name, sizeof(name) - 1}, FIELD_CLASS_##class},
#include "proxy/http/fields.def"
#undef FIELD
};

/* The only field this can be. No two of the same length begin with the same letter. */
static enum field_id field_candidate(struct text name)
{
    char first = name.length ? (char)(name.data[0] | 0x20) : '\0';

    switch (name.length) {
    case 2:
        return FIELD_TE;
    case 3:
        return FIELD_VIA;
    case 4:
        return first == 'h' ? FIELD_HOST : FIELD_DATE;
    case 6:
        return FIELD_EXPECT;
    case 7:
        return first == 'u' ? FIELD_UPGRADE : FIELD_TRAILER;
    case 9:
        return FIELD_FORWARDED;
    case 10:
        if (first == 't')
            return FIELD_TRACESTATE;
        return first == 'c' ? FIELD_CONNECTION : FIELD_KEEP_ALIVE;
    case 11:
        return FIELD_TRACEPARENT;
    case 12:
        return FIELD_X_REQUEST_ID;
    case 13:
        return FIELD_AUTHORIZATION;
    case 14:
        return FIELD_CONTENT_LENGTH;
    case 15:
        return FIELD_X_FORWARDED_FOR;
    case 16:
        if (first == 'w')
            return FIELD_WWW_AUTHENTICATE;
        return first == 'x' ? FIELD_X_FORWARDED_HOST : FIELD_PROXY_CONNECTION;
    case 17:
        return first == 'x' ? FIELD_X_FORWARDED_PROTO : FIELD_TRANSFER_ENCODING;
    case 18:
        return FIELD_PROXY_AUTHENTICATE;
    case 19:
        return FIELD_PROXY_AUTHORIZATION;
    default:
        return FIELD_OTHER;
    }
}

enum field_id field_identify(struct text name)
{
    enum field_id id = field_candidate(name);

    if (id == FIELD_OTHER || (name.data[0] | 0x20) != field_table[id].name.data[0])
        return FIELD_OTHER;
    return text_equal_nocase(name, field_table[id].name) ? id : FIELD_OTHER;
}

struct text field_fold(struct text name, char out[FIELD_FOLDED_BYTES])
{
    size_t n = name.length < FIELD_FOLDED_BYTES ? name.length : FIELD_FOLDED_BYTES;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(byte_is(name.data[i], BYTE_NAME) ? name.data[i] : '-');
    return (struct text){out, n};
}

bool field_is_alias(struct text name)
{
    char folded[FIELD_FOLDED_BYTES];
    struct text as;

    if (text_span(name, BYTE_NAME) == name.length)
        return false;
    as = field_fold(name, folded);
    return field_identify(as) != FIELD_OTHER || claim_is(as);
}

bool field_is_spelling_of(struct text name, struct text of)
{
    if (name.length != of.length)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        bool odd = !byte_is(name.data[i], BYTE_NAME) || name.data[i] == '-';
        bool of_odd = !byte_is(of.data[i], BYTE_NAME) || of.data[i] == '-';

        if (odd != of_odd || (!odd && (name.data[i] | 0x20) != (of.data[i] | 0x20)))
            return false;
    }
    return true;
}

enum field_class field_class_of(enum field_id id)
{
    return field_table[id].class;
}

bool text_is_token(struct text s)
{
    return s.length > 0 && text_span(s, BYTE_TOKEN) == s.length;
}

bool text_is_field_value(struct text s)
{
    return text_span_value(s) == s.length;
}

struct field field_of(struct text name, struct text value)
{
    return (struct field){.name = name, .value = text_trim(value), .id = field_identify(name)};
}

/* The length of the list element at the start of s: up to a comma outside of a quoted string. */
static size_t text_element_length(struct text s)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < s.length && (quoted || s.data[i] != ','); i++) {
        if (s.data[i] == '"')
            quoted = !quoted;
        else if (quoted && s.data[i] == '\\' && i + 1 < s.length)
            i++;
    }
    return i;
}

bool text_next_element(struct text *rest, struct text *ret_element)
{
    while (rest->length > 0) {
        size_t n = text_element_length(*rest);
        struct text element = text_trim((struct text){rest->data, n});

        *rest = text_skip(*rest, n < rest->length ? n + 1 : n);
        if (element.length > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

bool text_to_length(struct text s, uint64_t *ret_length)
{
    uint64_t length = 0;

    if (s.length == 0)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        /* One digit more than INT64_MAX / 10 has still fits an uint64_t. */
        if (length > INT64_MAX / 10)
            return false;
        length = length * 10 + (uint64_t)(s.data[i] - '0');
        if (length > INT64_MAX)
            return false;
    }
    *ret_length = length;
    return true;
}

/* Whether a peer may have this field dropped by naming it in Connection: claims are none either, which a proxy in front
 * may have set. */
static bool field_may_be_named(enum field_id id)
{
    switch (field_class_of(id)) {
    case FIELD_CLASS_FRAME:
        return false;
    case FIELD_CLASS_OWN:
        return id == FIELD_EXPECT || id == FIELD_TRAILER;
    default:
        return true;
    }
}

static void fields_drop_named(struct fields *fields, struct text name)
{
    for (size_t i = 0; i < fields->n_items; i++)
        if (text_equal_nocase(fields->items[i].name, name))
            fields->items[i].drop = true;
}

/* Takes what one Connection field lists. *n_named counts the names that are no options of ours. */
static bool fields_take_options(struct fields *fields, struct text value, struct connection_options *options,
                                unsigned *n_named)
{
    struct text option;

    while (text_next_element(&value, &option)) {
        if (!text_is_token(option))
            return false;
        if (text_equal_nocase(option, TEXT_LITERAL("close")))
            options->close = true;
        else if (text_equal_nocase(option, TEXT_LITERAL("keep-alive")))
            options->keep_alive = true;
        else if (text_equal_nocase(option, TEXT_LITERAL("upgrade")))
            options->upgrade = true;
        else if (text_equal_nocase(option, TEXT_LITERAL("te")))
            options->te = true;
        else if (++*n_named > FIELDS_MAX_NAMED)
            return false;
        else if (field_may_be_named(field_identify(option)) && !claim_is(option))
            fields_drop_named(fields, option);
    }
    return true;
}

/* The same of all Connection fields. */
static bool fields_take_all_options(struct fields *fields, struct connection_options *ret)
{
    struct connection_options options = {0};
    unsigned n_named = 0;

    for (size_t i = 0; i < fields->n_items; i++)
        if (fields->items[i].id == FIELD_CONNECTION &&
            !fields_take_options(fields, fields->items[i].value, &options, &n_named))
            return false;
    *ret = options;
    return true;
}

/* Those of this hop or of the framing, by a bit for each. */
static const unsigned fields_of_ours = 0
#define FIELD(id, name, class) \
    | (FIELD_CLASS_##class == FIELD_CLASS_HOP || FIELD_CLASS_##class == FIELD_CLASS_FRAME ? FIELD_BIT(FIELD_##id) : 0)
#include "proxy/http/fields.def"
#undef FIELD
    ;

bool fields_mark_hop_by_hop(struct fields *fields, struct connection_options *ret)
{
    unsigned seen = 0;

    for (size_t i = 0; i < fields->n_items; i++) {
        struct field *field = &fields->items[i];

        seen |= FIELD_BIT(field->id);
        if (fields_of_ours & FIELD_BIT(field->id))
            field->drop = true;
    }
    if (seen & FIELD_BIT(FIELD_CONNECTION))
        return fields_take_all_options(fields, ret);
    *ret = (struct connection_options){0};
    return true;
}

/* Parses the field line at the start of *rest and takes it away. *rest ends in CR LF, so there is always a byte after
 * what a span covers. */
static const char *field_parse(struct text *rest, struct field *field)
{
    struct text line = *rest;
    size_t name = bytes_span(line.data, BYTE_TOKEN), value;

    if (name == 0)
        return line.data[0] == ' ' || line.data[0] == '\t' ? "a folded field line" : "a line without a field name";
    if (line.data[name] != ':')
        return "a field name is not a token followed by a colon";
    *rest = text_skip(line, name + 1);
    value = text_span_value(*rest);
    if (rest->data[value] != '\r' || rest->data[value + 1] != '\n')
        return "a field value has a control byte";
    field->name = (struct text){line.data, name};
    field->value = text_trim((struct text){rest->data, value});
    field->id = field_identify(field->name);
    field->drop = false;
    *rest = text_skip(*rest, value + 2);
    return NULL;
}

const char *fields_parse(struct text lines, struct fields *fields)
{
    fields->n_items = 0;
    while (lines.length > 0) {
        const char *why;

        if (fields->n_items == fields->capacity)
            return "too many fields";
        why = field_parse(&lines, &fields->items[fields->n_items]);
        if (why)
            return why;
        fields->n_items++;
    }
    return NULL;
}
