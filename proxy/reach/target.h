/* A target in one worker: whom it may ask (roster.h), and those who ask for a connection.
 *
 * How many connections there may be is counted for all workers (places.h): those that exchanges and tunnels hold or
 * wait for. Those that are idle belong to their endpoint; they count against connections.max, too, and give up their
 * room to whoever needs a new one, in whichever worker they are. */
#ifndef PORTHOLE_REACH_TARGET_H
#define PORTHOLE_REACH_TARGET_H

#include "config/snapshot.h"
#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/reach/commons.h"
#include "proxy/reach/hold.h"
#include "proxy/reach/roster.h"

struct target {
    const struct target_config *config; /* borrowed from the generation's snapshot */
    struct loop *loop;                  /* borrowed */
    struct roster roster;               /* its endpoints */
    struct hold hold;                   /* with config->hold_ms only */
    struct commons_target *commons;     /* a reference */
    struct inbox *inbox;                /* borrowed; the worker's */
    struct list desk_link;              /* in the worker's desk of the commons */
    size_t worker;
    bool first_come;
};

/* One request for a connection.
 *
 *   IDLE ---> QUEUED ---> CONNECTING   connections.max is reached; a place is free
 *   ^  ^ |      |         ^     |
 *   |  | +------|---------+     |
 *   |  +--------+---------------+      answered, or withdrawn
 *   v
 *   HELD                               no endpoint is there: waits for one, and asks anew
 */
enum ticket_state { TICKET_IDLE, TICKET_QUEUED, TICKET_CONNECTING, TICKET_HELD, N_TICKET_STATES };

extern const struct state_machine ticket_machine;

/* Embedded in its owner, all zero but for fn and uid at first. */
struct ticket {
    enum ticket_state state;
    bool fresh;                 /* no idle connection will do */
    bool overslept;             /* the queue's deadline was put off, which happens once */
    uint8_t index;              /* of the endpoint that was chosen last, below TARGET_MOST_ENDPOINTS */
    uint8_t n_passed;           /* endpoints that could not be connected to, beside the last; the same */
    uint32_t queue_us, held_us; /* so long it was QUEUED and HELD, all times together */
    struct instant since;       /* of that state, of these two */
    uid_t uid;                  /* on whose behalf; or SHARES_NOBODY */
    uint32_t epoch;             /* of the endpoint's pool, when an attempt began */
    struct personal *personal;  /* the connection that may be its alone, borrowed; NULL: it has none ever */
    struct place place;         /* unless IDLE */
    struct hold_guest guest;    /* while HELD; its timer while QUEUED, too */
    struct target *target;      /* unless IDLE; borrowed */
    uint64_t tried;             /* endpoints that it was not to be had from, by a bit for each */
    struct endpoint *endpoint;  /* the one that was chosen last, or NULL; borrowed from the target */
    struct endpoint *held;      /* the same, a reference: one that may leave before its user does; or NULL */
    struct standing *standing;  /* of that endpoint, or NULL; a reference where that is held, else borrowed */
    struct instant chosen;      /* since when it is that one */
    struct attempt *attempt;    /* while CONNECTING, once connect_start has returned */
    /* Called once when the answer was not immediate. connection is the owner's now, or NULL and *failure says why. */
    void (*fn)(struct ticket *ticket, struct connection *connection, const struct failure *failure);
};

/* 0 or -ENOMEM; then there is nothing to undo. `first_come`: there is nobody with whom a user could have to share. */
int target_init(struct target *target, const struct target_config *config, struct endpoints *table,
                bool first_come) WARN_UNUSED;
/* It is its generation that requests come to from now on: what it shares with the target of the same name in others,
 * and the pools of its endpoints, are as its configuration says. Whoever waits may have a place at once. */
void target_take_effect(struct target *target);
/* Lets go of its endpoints; nothing may be busy or asked for. Harmless twice, and when all is zero. */
void target_deinit(struct target *target);

/* A request is sent again, or another endpoint is tried. */
void target_count_retry(const struct target *target, enum retry_cause why);

/* Connections open and being made, idle ones included, of all workers. */
uint32_t target_n_open(const struct target *target);
/* Asks for a connection: CONNECT_DONE with *ret_connection, CONNECT_WAIT (ticket->fn will be called), or CONNECT_FAILED
 * with *ret_failure. With `fresh` no idle connection is taken, but one may have to give up its place. An endpoint to
 * which no connection could be made is not asked again for this ticket while there is another; when there is none, the
 * ticket is held, if the target holds. */
enum connect_result target_ask(struct target *target, struct ticket *ticket, bool fresh,
                               struct connection **ret_connection, struct failure *ret_failure) WARN_UNUSED;
/* The endpoint that it was given last is not to be asked again while there is another. */
static inline void ticket_avoid(struct ticket *ticket)
{
    ticket->tried |= UINT64_C(1) << ticket->index;
}

/* Withdraws a question; harmless when nothing is asked. */
void target_withdraw(struct ticket *ticket);
/* The endpoint that was chosen last is of no interest any more; nothing is asked, and no connection of it is held. */
void target_forget(struct ticket *ticket);
/* Gives a connection back; somebody who waits may get it at once. */
void target_give(struct target *target, struct connection *connection, bool reusable);

/* There is something in a worker's inbox: serves whom it is for, and looks at what it is about. */
void targets_attend(struct inbox *inbox);

#endif
