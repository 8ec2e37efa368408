/* Endpoints: the addresses that targets are made of, with their connections.
 *
 * What is expensive outlives a reload. An endpoint is found by its canonical address and by whom it is taken for (TLS);
 * targets of old and new generations, and several targets of one, share it and so its warm connections. The last
 * reference takes it away. One table for each worker, one thread. */
#ifndef PORTHOLE_REACH_ENDPOINT_H
#define PORTHOLE_REACH_ENDPOINT_H

#include "config/snapshot.h"
#include "proxy/reach/commons.h"
#include "proxy/reach/connect.h"
#include "proxy/reach/follow.h"
#include "proxy/reach/incarnation.h"
#include "proxy/reach/lookout.h"
#include "proxy/reach/pool.h"
#include "proxy/reach/trust.h"

/* A worker's endpoints. Embedded in their owner; outlives all generations. */
struct endpoints {
    struct loop *loop; /* borrowed, like the next */
    struct connector *connector;
    struct commons *commons; /* borrowed */
    struct lookout lookout;
    size_t worker;     /* which one of the commons' */
    struct list list;  /* of struct endpoint */
    uint64_t n_orders; /* rosters that have taken effect */
};

/* One address. Owns copies of what it was found by, since the snapshot that named it may go first. */
struct endpoint {
    struct list link; /* in endpoints.list */
    struct endpoints *table;
    unsigned n_references;
    char *canonical;        /* owned */
    struct address address; /* owned, like the next */
    struct tls_config tls;  /* all zero unless https */
    struct trust trust;     /* of https: the files of `tls` */
    struct pool pool;
    struct follow follow;           /* of its host name */
    struct incarnation incarnation; /* of its socket file */
    struct site *site;              /* a reference: what all workers have there */
    uint32_t n_connecting;          /* attempts under way */
    uint64_t order;                 /* of the roster that had the say about its connections last */
};

void endpoints_init(struct endpoints *table, struct loop *loop, struct connector *connector, struct commons *commons,
                    size_t worker);
/* Closes some of the connections that nobody has used lately, whatever they lead to. Harmless on one of zeros. */
void endpoints_give_back(struct endpoints *table);
/* All references must have been given back. */
void endpoints_deinit(struct endpoints *table);

/* A reference to the endpoint of this address, made if need be; NULL when out of memory. */
struct endpoint *endpoints_find(struct endpoints *table, const struct address *address,
                                const struct tls_config *tls) WARN_UNUSED;
/* Another one; returns the same pointer. */
static inline struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
    endpoint->n_references++;
    return endpoint;
}
/* Gives one back; the last one closes what is idle. Takes NULL. */
void endpoint_unref(struct endpoint *endpoint);

/* Whether connections to where it led before are still to be used: those are not that were made to another socket at
 * the path (incarnation.h), or with other files of TLS than there are now (trust.h). */
bool endpoint_has_changed(struct endpoint *endpoint, struct instant now);

/* Before one of its connections is used or made. */
static inline void endpoint_look(struct endpoint *endpoint)
{
    struct instant now = loop_now(endpoint->table->loop);

    if ((endpoint->address.kind == ADDRESS_HTTPS || incarnation_is_due(&endpoint->incarnation, now)) &&
        endpoint_has_changed(endpoint, now))
        pool_review(&endpoint->pool, NULL);
}

/* Where a connection leads to. */
static inline struct endpoint *endpoint_of(const struct connection *connection)
{
    return CONTAINER_OF(connection->pool, struct endpoint, pool);
}

/* Its address as a user wrote it, for the logs; without data for NULL. */
static inline struct text endpoint_text(const struct endpoint *endpoint)
{
    return text_of(endpoint ? endpoint->address.text : NULL);
}

static inline bool endpoint_is_unix(const struct endpoint *endpoint)
{
    return address_is_unix(endpoint->address.kind);
}

#endif
