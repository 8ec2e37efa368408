/* The connector: libcurl's multi handle in a worker's loop, and the easy handles it works on. */
#ifndef PORTHOLE_REACH_CONNECTOR_H
#define PORTHOLE_REACH_CONNECTOR_H

#include "proxy/base/error.h"
#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/reach/resolver.h"

struct connector;

/* An easy handle at work, embedded in whoever waits for it. */
struct transfer {
    struct list link;                                  /* in connector.transfers while at work */
    struct connector *connector;                       /* borrowed */
    void *easy;                                        /* owned; NULL: not at work */
    void (*done)(struct transfer *transfer, int code); /* called once, with libcurl's CURLcode; the handle is still
                                                          there. May free the transfer, start and end others */
};

/* NULL when out of memory. libcurl's global state has been initialised. */
struct connector *connector_new(struct loop *loop);
/* Takes NULL. Nothing may be at work, and all TLS channels must be closed. */
void connector_free(struct connector *connector);

/* Whom to ask for a descriptor when there is none left for a connection: `fn` says whether it has closed one. NULL:
 * nobody. */
void connector_ask_for_room(struct connector *connector, bool (*fn)(void *closure), void *closure);
/* Whether that made room. */
bool connector_make_room(struct connector *connector);

/* Whom to ask where host names lead to; without it only addresses and this machine can be reached. */
void connector_ask_for_names(struct connector *connector, const struct resolver_desk *desk);
/* NULL: nobody. */
const struct resolver_desk *connector_desk(const struct connector *connector);

struct loop *connector_loop(const struct connector *connector);

/* An easy handle without any options, to be given to connector_start or connector_give_handle; NULL when out of memory.
 */
void *connector_take_handle(struct connector *connector);
void connector_give_handle(struct connector *connector, void *easy);

/* Sets `easy` to work, which it takes over in any case, and lets it take its first steps: `done` may have been called
 * before this returns. 0 or -ENOMEM. */
int connector_start(struct connector *connector, struct transfer *transfer, void *easy) WARN_UNUSED;
/* Ends it, whatever it is at, and gives its handle back. Harmless when not at work. */
void connector_end(struct transfer *transfer);
/* The transfer is over and its handle, which is returned, stays alive in *ret_multi: a TLS connection. */
void *connector_release(struct transfer *transfer, void **ret_multi);

#endif
