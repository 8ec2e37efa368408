/* Clients: the accepted connections of a worker, their deadlines, and how they wait.
 *
 * libmicrohttpd moves the bytes (frontend); what it does not do is here: deadlines that cannot be trickled around,
 * noticing that a suspended client has left, answers where it cannot queue one, late suspension, and the order of a
 * stop. */
#ifndef PORTHOLE_SERVE_CLIENT_H
#define PORTHOLE_SERVE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/state.h"
#include "proxy/exchange/exchange.h"
#include "proxy/listen/admission.h"
#include "proxy/listen/peer.h"
#include "proxy/serve/detour.h"
#include "proxy/serve/interest.h"
#include "proxy/serve/receipt.h"

#define CLIENT_SILENCE_MS 1000u /* of a client that is to send, until it is looked into */
#define CLIENTS_MANY_BUSY 64
#define CLIENT_RESPONSE_LOOKS 2 /* at a reader that may be slow, in its deadline */

struct client;

/* What happens to clients (client_events.h), so that what is here need not know of it. */
struct client_events {
    timer_fn *timer;  /* of client.timer */
    source_fn *watch; /* of client.watch */
    void (*wake)(struct exchange_client *side);
    void (*interim)(struct exchange_client *side, unsigned status, struct text reason, const struct fields *fields);
};

/* What the library's memory holds of a request (frontend_memory). */
struct client_memory {
    size_t head_bytes;
    size_t record_bytes; /* for the fields */
    size_t body_bytes;   /* that have passed through */
    bool has_trailers;
    bool told; /* it may count bytes in it that it was told of (receipt.h), and that are not there to be seen */
};

/* All clients of one worker, and what they share. Embedded in the frontend. */
struct clients {
    struct exchange_env *env; /* borrowed */
    const struct client_events *events;
    struct list list; /* of client */
    size_t n_clients;
    unsigned run;                           /* counts the library's runs */
    unsigned n_calls;                       /* counts the library's calls */
    size_t n_waiting;                       /* unsuspended, for their exchange */
    bool dirty;                             /* something was made ready since the last run */
    bool about_to_sleep;                    /* during the run in which waiters suspend themselves */
    size_t pool_bytes;                      /* the library's memory for each that comes now */
    struct list relays;                     /* of relay: to be moved on (relay.h) */
    struct list bulks;                      /* of bulk: the same (bulk.h) */
    struct list uploads;                    /* of upload: the same (upload.h) */
    struct list receipts;                   /* of receipt: what the library is to count as received */
    struct list line;                       /* of client: those who wait for their next turn (turns.h) */
    unsigned turn;                          /* counts them */
    unsigned n_pieces;                      /* of all clients in this turn */
    struct list farewells;                  /* of farewell: clients no more (farewell.h) */
    void (*suspend)(struct client *client); /* the library's */
    void (*resume)(struct client *client);
    void (*expire)(struct client *client); /* makes the library close a connection on which it sees nothing */
    /* Makes the library look at a connection in every run, so that it tells of one that it has closed; or no more. */
    void (*look)(struct client *client, bool always);
};

/* Where a client is, and what its timer waits for.
 *
 *   NEW ------> HEAD ------> BODY <-----> WAITING <-----> RESPONSE ------> IDLE ------> HEAD ...
 *    |           |  |        | | |          | |
 *    |           |  v        | | +-> EARLY <+ |
 *    |           | EXPECT ---+ |      |       |           HEAD, EXPECT, BODY, EARLY, WAITING --> RESPONSE:
 *    |           |             |      |       |               the answer does not wait for what is in between
 *    |           +-------------+------+-------+-> RELAY   any of these and RELAY --> IDLE:
 *    |           |             |      |       |     |         the library has ended the request
 *    +-----------+-------------+------+-------+-----+-> LINGER
 *
 *   RELAY --> REST --> IDLE or LINGER. RESPONSE --> TUNNEL. LINGER and TUNNEL are ends: the record goes with its
 *   connection. */
enum client_phase {
    CLIENT_NEW,      /* accepted: head deadline */
    CLIENT_HEAD,     /* a request has begun: head deadline */
    CLIENT_EXPECT,   /* the target is asked whether it wants the body */
    CLIENT_BODY,     /* the client sends: body deadline */
    CLIENT_EARLY,    /* the same, but the answer is there already: soon told by hand */
    CLIENT_WAITING,  /* for the target: no deadline of the client's */
    CLIENT_RESPONSE, /* the client takes: body deadline */
    CLIENT_IDLE,     /* between requests: idle deadline */
    CLIENT_LINGER,   /* answered by hand, to be closed */
    CLIENT_RELAY,    /* the client sends, and takes an answer that is told by hand: body deadline for both */
    CLIENT_REST,   /* answered by hand; the rest of its request has a moment to come, so that the connection goes on */
    CLIENT_TUNNEL, /* the connection has become a tunnel's; this record is about to go */
    N_CLIENT_PHASES,
};

extern const struct state_machine client_machine;

/* What a client has of one request, from its first line to its end. All zeros between two. */
struct client_request {
    struct exchange *exchange; /* NULL between, and when out of memory */
    const char *target;        /* the request-target in the library's memory, while the head is looked at */
    size_t target_bytes;
    struct client_memory memory;
    void *response;        /* the library's: what is being told */
    struct relay *relay;   /* owned; an answer told piece by piece by hand, else NULL */
    struct bulk *bulk;     /* owned; a body that is moved beside the library, else NULL */
    struct upload *upload; /* owned; the same, of the request */
    unsigned waited_run;   /* clients.run when it began to wait */
    unsigned told_run;     /* clients.run when a response was queued */
    bool waiting;          /* unsuspended, waits for its exchange */
    bool expect_over;      /* the target was asked long enough: the client may send */
    bool told;             /* a response has been queued, or sent by hand */
    bool movable;          /* the answer's body, of unknown length, may go on beside the library (bulk_stream) */
    bool framed;           /* it is in chunks then */
    bool flows;            /* much of it came at once */
    bool trailers_told;    /* the library has the whole answer, with trailers, for which it may have no memory */
    bool told_small;       /* a queued response lies in memory and is small enough to leave in one write */
};

/* One connection. Owned by the frontend from frontend_add until the library reports its close. */
struct client {
    struct exchange_client side;
    struct clients *clients;
    void *connection;     /* the library's */
    struct list link;     /* in clients.list */
    struct list line;     /* in clients.line, suspended, or alone */
    int fd;               /* the library's */
    struct instant since; /* when it was accepted */
    struct peer peer;
    struct peer_groups *groups; /* owned; NULL until a route asks for them */
    struct admission_pass pass; /* held until its end, or until a tunnel takes it */
    struct source watch;        /* the descriptor in our loop, for the library and for ourselves */
    struct interest interest;   /* the library's, when that is heard */
    uint32_t watched;           /* our own: hang-up, and the first byte after idling */
    bool watching;              /* there is such */
    struct timer timer;
    enum client_phase phase;
    struct client_request request;
    char *pool; /* the library's memory, into which it reads a request; all zeros between two; NULL before the first */
    size_t pool_bytes;      /* of it; stays what it was made for */
    unsigned turn;          /* clients.turn of its last piece of work (turns.h) */
    unsigned n_pieces;      /* in that turn */
    struct receipt receipt; /* of a body that was moved beside the library */
    struct detour detour;   /* while the library ends a request that was answered by hand */
    bool suspended;
    bool served;    /* has had an exchange */
    int64_t unread; /* unread_look at a slow reader, -1 before */
    int stalled_looks;
    bool silent;  /* the timer stands for the deadline, not for a first look */
    bool looked;  /* the library looks at the connection in every run */
    bool let_go;  /* the timer stands for the time it has to leave by itself */
    bool cut;     /* to be closed at the library's next call */
    bool lingers; /* was answered whole, and has not sent all of its request: to be closed in stages */
    char node[48];
    char peer_text[80];
};

void clients_init(struct clients *clients, struct exchange_env *env, const struct client_events *events);

/* Whether so many requests are under way that what each of them holds counts for more than a call. */
static inline bool clients_are_many(const struct clients *clients)
{
    return clients->env->exchanges.n_taken >= CLIENTS_MANY_BUSY;
}

/* A client in phase NEW; its deadline is not running yet (client_arm). The listener is of the generation, to which the
 * client takes a reference. NULL when out of memory. The descriptor stays the caller's. */
struct client *client_new(struct clients *clients, int fd, struct generation *generation,
                          const struct listener_config *listener, const struct peer *peer);
/* Its request has ended. */
void client_free(struct client *client);

/* Its request is over, but not its connection: it waits for the next one. */
void client_end_request(struct client *client, bool delivered);
/* Between two requests: moves it to the newest generation. When its listener is not served there, it stays, and leaves
 * after the next request at the latest; when its peer may not come in there, it is cut. */
void client_renew(struct client *client);

/* Whether its answers close the connection, so that there is no point in waiting for long between them. */
bool client_is_leaving(const struct client *client);
/* Whether it is the client that has something to send in this phase. */
bool client_is_to_send(enum client_phase phase);
/* How long a phase may last; 0: for ever. */
uint64_t client_deadline_ms(const struct client *client, enum client_phase phase);
/* Goes on to another phase; its deadline stays what it is. */
void client_move(struct client *client, enum client_phase to);
/* Enters a phase, or stays in it, and starts its deadline. */
void client_arm(struct client *client, enum client_phase phase);

/* To be called from the library when there is nothing to give it. The first time the connection is left as it is: the
 * library asks again on its next run, and most targets have answered by then. It is suspended in the run before the
 * loop sleeps. */
void client_wait(struct client *client);
void client_stop_waiting(struct client *client);
/* Suspends at once: more of the client's bytes are not wanted. */
void client_suspend(struct client *client);
/* Resumes a suspended client, once, unless it waits in line; makes the library run in any case. */
void client_wake(struct client *client);

/* The client has closed its side and everything it sent has been read. The library may not have noticed, because the
 * end came in the same edge as the last bytes. */
bool client_has_left(const struct client *client);
/* Makes the library see the end of the connection. */
void client_cut(struct client *client);
/* Registers the descriptor with our own loop on the library's behalf, whose set this is; NULL: it does so itself. */
void client_attend(struct client *client, struct interest_set *set);
/* Registers it, or looks again, for ourselves, edge-triggered: a full hang-up always shows. On TCP a client that is
 * gone looks like one that has finished sending, so that is asked for as well. */
void client_watch(struct client *client, uint32_t events);
/* What has happened: the library is told, and what is left is for ourselves. */
uint32_t client_hears(struct client *client, uint32_t events);

/* env has a newer generation: moves those that are between two requests, the others follow after theirs. */
void clients_renew(struct clients *clients);
/* env->stopping has been set: lets idle clients go after a moment, without losing a request that is already in the
 * socket. */
void clients_stop(struct clients *clients);
/* Cuts everybody, with outcome STOPPED. */
void clients_cut_all(struct clients *clients);

/* The listener whose desk this is is not served any more: its clients leave, each after the next answer at the latest,
 * and those who have nothing under way after a moment. */
void clients_leave(struct clients *clients, const struct admission_desk *desk);
/* Cuts those who are still there. */
void clients_cut_of(struct clients *clients, const struct admission_desk *desk);

#endif
