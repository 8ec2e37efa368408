#include "proxy/admin/browser.h"

#include <string.h>

#include "proxy/http/authority.h"
#include "proxy/http/fields.h"

static const struct field *browser_field(const struct page_question *question, const char *name)
{
    for (size_t i = 0; i < question->fields->n_items; i++)
        if (text_equal_nocase(question->fields->items[i].name, text_of(name)))
            return &question->fields->items[i];
    return NULL;
}

/* Without its port. */
static struct text browser_host(struct text authority)
{
    const char *end = authority.length > 0 && authority.data[0] == '[' ? memchr(authority.data, ']', authority.length)
                                                                       : memchr(authority.data, ':', authority.length);

    if (end)
        authority.length = (size_t)(end - authority.data) + (*end == ']');
    return authority;
}

/* A literal is where the browser went; of names only those that no name server answers for. */
static bool browser_is_literal(struct text host)
{
    bool digits = host.length > 0;

    if (host.length > 0 && host.data[0] == '[')
        return true;
    for (size_t i = 0; i < host.length; i++)
        digits = digits && ((host.data[i] >= '0' && host.data[i] <= '9') || host.data[i] == '.');
    return digits;
}

/* "tcp:NAME:PORT" or its literal. A socket that was passed has no name. */
static bool browser_is_bound(struct text host, const struct address *bind)
{
    struct text name;

    if (bind->kind != ADDRESS_TCP)
        return false;
    name = browser_host(text_of(bind->text + strlen("tcp:")));

    return text_equal_nocase(host, name);
}

/* Of a Unix socket that somebody forwards to a port: what programs invent has no dot, or is a path, which no browser
 * sends; what a site can have has one. */
static bool browser_is_invented(struct text host, struct text authority)
{
    return host.length == 0 || !memchr(host.data, '.', host.length) ||
           authority_names_socket(authority, authority_is_valid(authority));
}

static bool browser_knows_host(const struct page_question *question)
{
    const struct field *host = browser_field(question, "Host");
    struct text name = host ? browser_host(host->value) : (struct text){NULL, 0};

    if (question->is_unix)
        return !host || browser_is_literal(name) || browser_is_invented(name, host->value);
    return host && (browser_is_literal(name) || text_equal_nocase(name, text_of("localhost")) ||
                    browser_is_bound(name, &question->listener->bind));
}

/* Fetch Metadata: what a page of ours asks for is "same-origin", what a user typed "none". */
static bool browser_is_foreign(const struct page_question *question)
{
    const struct field *site = browser_field(question, "Sec-Fetch-Site");

    if (site)
        return !text_equal(site->value, text_of("same-origin")) && !text_equal(site->value, text_of("none"));
    return browser_field(question, "Origin") != NULL;
}

/* Health and counters tell nobody anything, and are asked by whatever name a cluster has. */
static bool browser_is_harmless(enum page_id page)
{
    return page == PAGE_HEALTHZ || page == PAGE_READYZ || page == PAGE_METRICS;
}

const char *browser_objection(const struct page_question *question, enum page_id page, bool changes)
{
    /* Another site cannot read a tap, but could take all places of taps. */
    if ((changes || page == PAGE_TAP) && browser_is_foreign(question))
        return "a page of another site may not ask for this";
    if (!browser_is_harmless(page) && !browser_knows_host(question))
        return "Host must be an IP address, localhost, or the name in \"bind\": another one may lead here by a trick";
    return NULL;
}
