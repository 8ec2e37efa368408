#include "proxy/http/upgrade.h"

#include "proxy/http/bytes.h"

/* A 101 names one protocol, or the few that lie upon each other. Each costs a walk over all that was offered. */
#define UPGRADE_MAX_AGREED 16

/* A protocol of an Upgrade field. */
struct upgrade_protocol {
    struct text name;
    struct text version; /* empty when there is none */
};

static bool upgrade_split(struct text element, struct upgrade_protocol *ret)
{
    size_t n = text_span(element, BYTE_TOKEN);

    if (n == 0)
        return false;
    ret->name = (struct text){element.data, n};
    ret->version = (struct text){"", 0};
    if (n == element.length)
        return true;
    ret->version = text_skip(element, n + 1);
    return element.data[n] == '/' && text_is_token(ret->version);
}

/* HTTP again, in another version or behind TLS (RFC 2817): its requests would go past all that looks at requests. */
static bool upgrade_carries_requests(struct text name)
{
    return text_equal_nocase(name, TEXT_LITERAL("http")) || text_equal_nocase(name, TEXT_LITERAL("tls")) ||
           (name.length >= 2 && text_equal_nocase((struct text){name.data, 2}, TEXT_LITERAL("h2")));
}

static bool upgrade_is_allowed(struct text name, char *const *allowed)
{
    if (!allowed)
        return !upgrade_carries_requests(name);
    for (; *allowed; allowed++)
        if (text_equal_nocase(name, text_of(*allowed)))
            return true;
    return false;
}

/* The next element of an Upgrade field. */
static bool upgrade_next_element(const struct fields *fields, size_t *i_field, struct text *rest,
                                 struct text *ret_element)
{
    while (!text_next_element(rest, ret_element)) {
        while (*i_field < fields->n_items && fields->items[*i_field].id != FIELD_UPGRADE)
            ++*i_field;
        if (*i_field == fields->n_items)
            return false;
        *rest = fields->items[(*i_field)++].value;
    }
    return true;
}

bool upgrade_next_offer(struct upgrade_offers *offers, struct text *ret_protocol)
{
    struct upgrade_protocol protocol;
    struct text element;

    if (!offers->request->upgrade)
        return false;
    while (upgrade_next_element(&offers->request->fields, &offers->i_field, &offers->rest, &element)) {
        if (upgrade_split(element, &protocol) && upgrade_is_allowed(protocol.name, offers->allowed)) {
            *ret_protocol = element;
            return true;
        }
    }
    return false;
}

bool upgrade_is_offered(const struct request *request, char *const *allowed)
{
    struct upgrade_offers offers = {request, allowed, 0, {NULL, 0}};
    struct text protocol;

    return upgrade_next_offer(&offers, &protocol);
}

/* Whether `answer` is one of the protocols that were offered. */
static bool upgrade_answers_offer(const struct request *request, char *const *allowed,
                                  const struct upgrade_protocol *answer)
{
    struct upgrade_offers offers = {request, allowed, 0, {NULL, 0}};
    struct upgrade_protocol offer;
    struct text element;

    while (upgrade_next_offer(&offers, &element))
        if (upgrade_split(element, &offer) && text_equal_nocase(answer->name, offer.name) &&
            (offer.version.length == 0 || text_equal(answer->version, offer.version)))
            return true;
    return false;
}

bool upgrade_is_agreed(const struct request *request, char *const *allowed, const struct fields *response)
{
    struct text rest = {NULL, 0}, element;
    size_t i_field = 0, n_agreed = 0;

    while (upgrade_next_element(response, &i_field, &rest, &element)) {
        struct upgrade_protocol answer;

        if (++n_agreed > UPGRADE_MAX_AGREED || !upgrade_split(element, &answer) ||
            !upgrade_answers_offer(request, allowed, &answer))
            return false;
    }
    return n_agreed > 0;
}
