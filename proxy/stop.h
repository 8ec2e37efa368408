/* A stop, in steps. Whoever asks for it again hastens it by one; nothing takes a step back. Main thread.
 *
 *   SERVING ------> LEAVING ------> REFUSING ------> DRAINING ------> CUTTING
 *      |                             ^
 *      +-----------------------------+
 *              without a delay
 *
 * The deadline of DRAINING is the workers': only a stop that is hastened comes to CUTTING. */
#ifndef PORTHOLE_STOP_H
#define PORTHOLE_STOP_H

#include "proxy/base/loop.h"
#include "proxy/base/state.h"

enum stop_step {
    STOP_SERVING,  /* nobody has asked for it */
    STOP_LEAVING,  /* as before, but each answer closes its connection: others are told meanwhile that we go */
    STOP_REFUSING, /* nobody can begin to connect; who has begun (TCP) may finish that */
    STOP_DRAINING, /* nobody can connect any more, and what is under way may finish */
    STOP_CUTTING,  /* nor may that: somebody does not want to wait for it */
    N_STOP_STEPS,
};

extern const struct state_machine stop_machine;

struct stop;

/* What the steps are made of; each is called once at most, in this order. */
struct stop_host {
    void (*leave)(struct stop *stop);
    uint64_t (*refuse)(struct stop *stop); /* for how long others may finish connecting, in ms; 0: there are none */
    void (*drain)(struct stop *stop, uint64_t deadline_ms); /* cuts by itself when the deadline has come */
    void (*cut)(struct stop *stop);                         /* before that */
    void (*tell)(const struct stop *stop);                  /* whom it waits for, in lines */
};

/* Embedded. */
struct stop {
    const struct stop_host *host; /* borrowed */
    struct loop *loop;            /* borrowed */
    enum stop_step step;
    uint64_t drain_ms;    /* from the beginning of DRAINING */
    bool asked;           /* by stop_ask: it may have begun without that, and then the first wish is nothing new */
    struct instant begun; /* 0: not yet */
    struct instant drain_begun;
    struct timer step_over; /* LEAVING, REFUSING */
    struct timer news;
};

void stop_init(struct stop *stop, struct loop *loop, const struct stop_host *host);
/* Begins, with a delay in which everything is served still (0: none), and then so much time for what is under way.
 * `why` is for the log. When that was asked for already, it is hastened: the delay ends, or the time for what is under
 * way. One who is to stop what stops by itself, because a successor serves or a page was asked, does not mean that. */
void stop_ask(struct stop *stop, const char *why, uint64_t delay_ms, uint64_t drain_ms);
/* The same for those who say so before a supervisor does, and who do not mean to hasten anything: does nothing when it
 * has begun. */
void stop_ask_to_leave(struct stop *stop, const char *why, uint64_t delay_ms, uint64_t drain_ms);
/* The same without a delay, for those who do not mean to hasten what is under way: does nothing while it drains. */
void stop_ask_to_drain(struct stop *stop, const char *why, uint64_t drain_ms);
/* Harmless on one of zeros. */
void stop_deinit(struct stop *stop);

static inline bool stop_has_begun(const struct stop *stop)
{
    return stop->step != STOP_SERVING;
}
/* How it ended, in words: to be asked when the last client has left. */
const char *stop_result(const struct stop *stop);
/* Its only way from step to step. */
void stop_move(struct stop *stop, enum stop_step to);

#endif
