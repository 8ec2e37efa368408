/* What a worker lends to all its exchanges, and to the streams that never become one. */
#ifndef PORTHOLE_EXCHANGE_ENV_H
#define PORTHOLE_EXCHANGE_ENV_H

#include "proxy/base/loop.h"
#include "proxy/base/lots.h"
#include "proxy/http/pattern.h"
#include "proxy/reach/generation.h"
#include "proxy/reach/upstream.h"
#include "proxy/report/recorder.h"
#include "proxy/tunnel/tunnel.h"

#define ID_BYTES 32

/* What the heads of a request and its response may have together: twice limits.header, or this if it is more. */
#define EXCHANGE_HEADS_LEAST_BYTES (32u * 1024)
size_t exchange_heads_bytes(size_t header_bytes);
/* What a request on its way to a target has: its head, to which routes may add edit_bytes, and what is behind it. */
size_t exchange_out_bytes(size_t header_bytes, size_t edit_bytes);

struct pages_host;

struct exchange_env {
    struct loop *loop;
    struct generation *generation; /* a reference: the newest, which clients move to between two requests */
    struct upstream_store store;
    struct recorder recorder;
    struct tunnels tunnels;
    struct list ready;               /* of exchange: to be turned, exchanges_turn */
    struct buffer_store exchanges;   /* of which one is taken for each that is under way */
    size_t n_most;                   /* that were under way at once since memory was given back */
    char id[ID_BYTES];               /* the last one that was made */
    struct lots spans;               /* spans and traces that begin here are drawn from it */
    struct pattern_memory *patterns; /* owned; what is matched with */
    char *path_scratch;              /* owned; what paths and queries are matched in: twice limits.header */
    size_t path_scratch_bytes;
    char *edit_scratch; /* owned; what a route changes is expanded in; NULL: no route changes anything */
    size_t edit_scratch_bytes;
    void *judging;             /* owned; what bodies of a few KiB are judged in; NULL before the first */
    struct pages_host *pages;  /* borrowed; who answers at listeners with pages; NULL: nobody */
    uint64_t bulk_bytes;       /* bodies of which so much is still to come are spliced, where they can be; not 0 */
    uint64_t bulk_tcp_bytes;   /* the same where one side or both are TCP */
    uint64_t bulk_chunk_bytes; /* and of a single chunk, whose frame costs, too */
    bool closing;              /* answers close their connections */
    bool stopping;             /* so they do, and nobody is waited for longer than a moment */
};

/* 0 or -ENOMEM. loop and recorder have been set. */
int exchange_env_init(struct exchange_env *env, struct generation *generation) WARN_UNUSED;
/* Makes room for a generation that may become the newest. 0 or -ENOMEM; in any case what there is goes on. */
int exchange_env_grow(struct exchange_env *env, const struct generation *generation) WARN_UNUSED;
/* Another generation, for which there is room, is the newest from now on, and in effect (generation_take_effect). Not
 * from within a callback: whoever waited for a place may be served. */
void exchange_env_renew(struct exchange_env *env, struct generation *generation);
/* What is kept for those who come next, and in nobody's use, is given back. */
void exchange_env_give_back(struct exchange_env *env);
void exchange_env_deinit(struct exchange_env *env);
/* Every second or so, not from within a callback: what is kept for the next exchanges and has not been wanted since the
 * last time is freed, and when many have ended, their memory goes back to the kernel. */
void exchange_env_rest(struct exchange_env *env);

/* An id that no other request has, of this porthole or another. */
void exchange_env_make_id(struct exchange_env *env, char id[ID_BYTES]);

#endif
