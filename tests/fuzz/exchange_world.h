/* The world of fuzz_exchange: a worker's insides as proxy/worker.c puts them together, clients on socket pairs, and a
 * target whose every step is ordered. One thread, Unix sockets that deliver at once, and a clock that only moves when
 * it is told to: the same script always runs the same way. Everything but the listening socket is made anew for each
 * script. What the ends said and heard is kept for the judge. */
#ifndef PORTHOLE_TESTS_EXCHANGE_WORLD_H
#define PORTHOLE_TESTS_EXCHANGE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/base/text.h"
#include "proxy/report/metrics.h"

#define WORLD_STREAM_BYTES (256u << 10) /* what an end says and hears at most */
#define WORLD_CLIENTS 8
#define WORLD_TARGETS 16
#define WORLD_MARKS 128

/* One direction of a connection, from its beginning. */
struct world_stream {
    size_t length;
    char data[WORLD_STREAM_BYTES];
};

/* When an end began to say something: what it had said, and what had arrived for it by then. */
struct world_mark {
    size_t said, arrived;
};

struct world_end {
    int fd;                                 /* owned; -1: we have closed it */
    bool ended;                             /* the proxy has closed its side, and everything was read */
    bool reset;                             /* the same, but with something of ours unread */
    bool finished;                          /* we have sent an end of file */
    const struct listener_config *listener; /* of a client */
    size_t n_read;                          /* of what was heard; the rest had only arrived when we closed */
    size_t n_marks;
    struct world_mark marks[WORLD_MARKS];
    struct world_stream said, heard;
};

struct world {
    const struct snapshot *snapshot;
    struct metrics metrics;
    size_t n_clients, n_targets;
    struct world_end clients[WORLD_CLIENTS], targets[WORLD_TARGETS];
    bool small_buffers; /* sockets that take a page at a time */
    bool tcp_peers;     /* clients that seem to come over TCP */
};

extern struct world world;

/* Begins: no connections, the clock at its start. */
void world_open(bool small_buffers, bool tcp_peers);
/* Ends: everybody leaves, abruptly or (patient) by the deadlines; then nothing may be left of anybody. */
void world_close(bool patient);

/* Lets the proxy take one round, or as many as it has something to do for. Fails when that has no end. */
bool world_turn(void);
void world_settle(void);
/* Lets time pass, and the proxy look. */
void world_pass_ms(uint64_t ms);

/* The proxy is told to stop: idle clients are let go, nobody comes any more. `now`: its patience is over as well. */
void world_stop(bool now);

/* A new client of a listener; NULL when there have been too many, or the proxy stops. */
struct world_end *world_connect(size_t listener);
/* Accepts what has connected to the target; NULL when there is nothing (or have been too many). */
struct world_end *world_accept(void);
/* Whether somebody listens at the target's address. */
void world_listen(bool listening);

/* Harmless on ends that are closed. As much is said as the socket takes. */
void world_say(struct world_end *end, const char *data, size_t length);
/* At most so much. */
void world_hear(struct world_end *end, size_t most);
void world_finish(struct world_end *end);
void world_leave(struct world_end *end);

/* Something is wrong with the proxy: says what, and aborts. */
_Noreturn void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
