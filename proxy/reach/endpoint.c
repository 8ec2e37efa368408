#include "proxy/reach/endpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_BACK_MOST 64      /* at once */
#define GIVE_BACK_IDLE_MS 1000 /* who has been used since is used again */

/* The pool of the connection that has been idle for longest, whatever it leads to. NULL: none is. */
static struct pool *endpoints_oldest(const struct endpoints *table)
{
    struct pool *oldest = NULL;

    for (struct list *link = table->list.next; link != &table->list; link = link->next) {
        struct pool *pool = &CONTAINER_OF(link, struct endpoint, link)->pool;

        if (pool->n_idle > 0 && (!oldest || instant_before(pool_idle_since(pool), pool_idle_since(oldest))))
            oldest = pool;
    }
    return oldest;
}

/* Closes that connection. */
static bool endpoints_make_room(void *closure)
{
    struct pool *oldest = endpoints_oldest(closure);

    if (oldest)
        pool_drop_oldest(oldest);
    return oldest;
}

void endpoints_give_back(struct endpoints *table)
{
    struct pool *oldest = table->connector ? endpoints_oldest(table) : NULL;

    for (int i = 0; i < GIVE_BACK_MOST && oldest; i++) {
        if (instant_before(loop_now(table->loop), instant_add_ms(pool_idle_since(oldest), GIVE_BACK_IDLE_MS)))
            break;
        pool_drop_oldest(oldest);
        oldest = endpoints_oldest(table);
    }
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

/* A reference to what all workers have there. */
static struct site *endpoint_find_site(struct commons *commons, const struct address *address, const char *canonical,
                                       const struct tls_config *tls)
{
    char *key = site_key(address->kind, canonical, tls);
    struct site *site = key ? commons_site(commons, key) : NULL;

    free(key);
    return site;
}

/* Takes over `canonical` and the reference to the site in any case. */
static struct endpoint *endpoint_new(struct endpoints *table, const struct address *address, char *canonical,
                                     const struct tls_config *tls, struct site *site)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (!endpoint) {
        site_unref(site);
        free(canonical);
        return NULL;
    }
    endpoint->canonical = canonical;
    endpoint->table = table;
    endpoint->site = site;
    if (!endpoint_copy(endpoint, address, tls)) {
        endpoint_free(endpoint);
        return NULL;
    }
    pool_init(&endpoint->pool, table->loop);
    endpoint->pool.site = site;
    endpoint->pool.shown = &site->parts[table->worker];
    list_init(&endpoint->link);
    list_append(&table->list, &endpoint->link);
    endpoint_follow(endpoint);
    if (endpoint->address.kind == ADDRESS_UNIX)
        endpoint->incarnation.path = endpoint->address.name;
    return endpoint;
}

static struct endpoint *endpoints_at(const struct endpoints *table, const struct site *site)
{
    for (struct list *link = table->list.next; link != &table->list; link = link->next)
        if (CONTAINER_OF(link, struct endpoint, link)->site == site)
            return CONTAINER_OF(link, struct endpoint, link);
    return NULL;
}

struct endpoint *endpoints_find(struct endpoints *table, const struct address *address, const struct tls_config *tls)
{
    char *canonical = address_canonical(address);
    struct site *site = canonical ? endpoint_find_site(table->commons, address, canonical, tls) : NULL;
    struct endpoint *found = site ? endpoints_at(table, site) : NULL;

    if (found || !site) {
        site_unref(site);
        free(canonical);
    } else {
        found = endpoint_new(table, address, canonical, tls, site);
    }
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
