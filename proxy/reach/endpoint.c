#include "proxy/reach/endpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Closes the connection that has been idle for longest, whatever it leads to. */
static bool endpoints_make_room(void *closure)
{
    struct endpoints *table = closure;
    struct pool *oldest = NULL;

    for (struct list *link = table->list.next; link != &table->list; link = link->next) {
        struct pool *pool = &CONTAINER_OF(link, struct endpoint, link)->pool;

        if (pool->n_idle > 0 && (!oldest || instant_before(pool_idle_since(pool), pool_idle_since(oldest))))
            oldest = pool;
    }
    if (oldest)
        pool_drop_oldest(oldest);
    return oldest;
}

void endpoints_init(struct endpoints *table, struct loop *loop, struct connector *connector, struct commons *commons,
                    size_t worker)
{
    *table = (struct endpoints){.loop = loop, .connector = connector, .commons = commons, .worker = worker};
    list_init(&table->list);
    lookout_init(&table->lookout, loop);
    connector_ask_for_room(connector, endpoints_make_room, table);
}

void endpoints_deinit(struct endpoints *table)
{
    assert(list_empty(&table->list));
    lookout_deinit(&table->lookout);
    connector_ask_for_room(table->connector, NULL, NULL);
    table->connector = NULL;
}

static bool endpoint_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Two who show different certificates, or believe different authorities, never share a connection. */
static bool endpoint_is(const struct endpoint *endpoint, enum address_kind kind, const char *canonical,
                        const struct tls_config *tls)
{
    const struct tls_config *own = &endpoint->tls;

    if (endpoint->address.kind != kind || strcmp(endpoint->canonical, canonical) != 0)
        return false;
    if (kind != ADDRESS_HTTPS)
        return true;
    return own->verify == tls->verify && own->min_version == tls->min_version && endpoint_same_text(own->ca, tls->ca) &&
           endpoint_same_text(own->cert, tls->cert) && endpoint_same_text(own->key, tls->key) &&
           endpoint_same_text(own->server_name, tls->server_name);
}

static void endpoint_free(struct endpoint *endpoint)
{
    site_unref(endpoint->site);
    address_deinit(&endpoint->address);
    free(endpoint->canonical);
    free(endpoint->tls.ca);
    free(endpoint->tls.cert);
    free(endpoint->tls.key);
    free(endpoint->tls.server_name);
    free(endpoint);
}

/* NULL stays NULL. False when out of memory. */
static bool endpoint_copy_text(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return *to || !from;
}

static bool endpoint_copy(struct endpoint *endpoint, const struct address *address, const struct tls_config *tls)
{
    struct address *own = &endpoint->address;

    own->kind = address->kind;
    own->port = address->port;
    if (!endpoint_copy_text(&own->text, address->text) || !endpoint_copy_text(&own->name, address->name))
        return false;
    if (address->kind != ADDRESS_HTTPS)
        return true;
    endpoint->tls.verify = tls->verify;
    endpoint->tls.min_version = tls->min_version;
    return endpoint_copy_text(&endpoint->tls.ca, tls->ca) && endpoint_copy_text(&endpoint->tls.cert, tls->cert) &&
           endpoint_copy_text(&endpoint->tls.key, tls->key) &&
           endpoint_copy_text(&endpoint->tls.server_name, tls->server_name);
}

static bool endpoint_stands(const struct pool *pool, int fd)
{
    const struct endpoint *endpoint = CONTAINER_OF(pool, struct endpoint, pool);
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
           addresses_find(endpoint->follow.known, (const struct sockaddr *)&peer);
}

static void endpoint_on_moved(struct follow *follow)
{
    pool_review(&CONTAINER_OF(follow, struct endpoint, follow)->pool, endpoint_stands);
}

/* Only a name can move. */
static void endpoint_follow(struct endpoint *endpoint)
{
    if (!endpoint_is_unix(endpoint))
        follow_init(&endpoint->follow, connector_desk(endpoint->table->connector), endpoint->table->loop,
                    endpoint->address.name, endpoint_on_moved);
}

bool endpoint_has_changed(struct endpoint *endpoint, struct instant now)
{
    return endpoint->address.kind == ADDRESS_HTTPS ? trust_has_changed(&endpoint->trust, &endpoint->tls, now)
                                                   : incarnation_look(&endpoint->incarnation, now);
}

static const char *endpoint_or_nothing(const char *text)
{
    return text ? text : "";
}

/* By whom and where it is: what endpoint_is compares, in one text. */
static struct site *endpoint_find_site(const struct endpoint *endpoint)
{
    const struct tls_config *tls = &endpoint->tls;
    struct site *site;
    char *key;

    if (asprintf(&key, "%d %s\n%d\n%s\n%s\n%s\n%s", (int)endpoint->address.kind, endpoint->canonical, tls->verify,
                 endpoint_or_nothing(tls->ca), endpoint_or_nothing(tls->cert), endpoint_or_nothing(tls->key),
                 endpoint_or_nothing(tls->server_name)) < 0)
        return NULL;
    site = commons_site(endpoint->table->commons, key);
    free(key);
    return site;
}

/* Takes over `canonical` in any case. */
static struct endpoint *endpoint_new(struct endpoints *table, const struct address *address, char *canonical,
                                     const struct tls_config *tls)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (!endpoint) {
        free(canonical);
        return NULL;
    }
    endpoint->canonical = canonical;
    endpoint->table = table;
    endpoint->site = endpoint_copy(endpoint, address, tls) ? endpoint_find_site(endpoint) : NULL;
    if (!endpoint->site) {
        endpoint_free(endpoint);
        return NULL;
    }
    pool_init(&endpoint->pool, table->loop);
    endpoint->pool.site = endpoint->site;
    endpoint->pool.shown = &endpoint->site->parts[table->worker];
    list_init(&endpoint->link);
    list_append(&table->list, &endpoint->link);
    endpoint_follow(endpoint);
    if (endpoint->address.kind == ADDRESS_UNIX)
        endpoint->incarnation.path = endpoint->address.name;
    return endpoint;
}

struct endpoint *endpoints_find(struct endpoints *table, const struct address *address, const struct tls_config *tls)
{
    char *canonical = address_canonical(address);
    struct endpoint *found = NULL;

    if (!canonical)
        return NULL;
    for (struct list *link = table->list.next; !found && link != &table->list; link = link->next) {
        struct endpoint *endpoint = CONTAINER_OF(link, struct endpoint, link);

        if (endpoint_is(endpoint, address->kind, canonical, tls))
            found = endpoint;
    }
    if (found)
        free(canonical);
    else
        found = endpoint_new(table, address, canonical, tls);
    if (found)
        found->n_references++;
    return found;
}

void endpoint_unref(struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    assert(endpoint->n_references > 0);
    if (--endpoint->n_references > 0)
        return;
    assert(endpoint->n_connecting == 0);
    follow_deinit(&endpoint->follow);
    pool_deinit(&endpoint->pool);
    list_remove(&endpoint->link);
    endpoint_free(endpoint);
}
