/* A listener that is offered, and a successor who asks for it, in one process with a thread for whoever waits. */
#ifndef PORTHOLE_TESTS_HANDOVER_RIG_H
#define PORTHOLE_TESTS_HANDOVER_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/listen/handover.h"
#include "proxy/listen/offer.h"
#include "tests/unit/await.h"

/* An offered listener, and a successor. */
struct offered {
    struct loop *loop;
    int listener_fd;
    char address[HANDOVER_ADDRESS_BYTES];
    struct offer_host offer_host;
    struct offer *offer;
    bool shared;
    unsigned n_shared, n_taken;
    struct handover_host handover_host;
    struct handover *handover;
    unsigned n_left, n_ended, n_lost;
    /* of the thread that asks */
    pthread_t thread;
    atomic_bool asked;
    uint64_t ask_ms;
    int verdict;
    struct error error;
};

/* At a port of IPv4 that is free; a connection to such a one. */
int offered_listen(void);
int offered_connect(int listener_fd);

/* This listener is offered, if its name is free; it is the rig's from now on. */
void offered_begin(struct offered *rig, int listener_fd);
/* One of IPv4 is offered. */
void offered_open(struct offered *rig);
void offered_end(struct offered *rig);

/* Asks, while the loop turns. Returns the verdict. */
int offered_ask(struct offered *rig);
void offered_expect_error(const struct offered *rig, int code, const char *part);
/* Asks and gets it, serves it, and the other one leaves; who connects is served. */
void offered_take_over(struct offered *rig);

#endif
