/* A name service that answers what, and when, a test wants: in place of addresses_look_up. */
#ifndef PORTHOLE_TESTS_UNIT_NAME_SERVICE_H
#define PORTHOLE_TESTS_UNIT_NAME_SERVICE_H

#include <pthread.h>
#include <stdbool.h>

#include "proxy/reach/addresses.h"

struct name_service {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *addresses; /* where every name is: "192.0.2.1,::1"; NULL: `code` is the answer */
    int code;
    int error_number; /* beside EAI_SYSTEM */
    bool silent;      /* names that begin with "silent" are not answered */
    unsigned n_begun, n_ended, n_inside, n_most_inside;
};

extern struct name_service name_service;

/* A resolver_look_up_fn. */
int name_service_look_up(const char *host, struct addresses **ret_addresses);
/* These addresses, nothing silent, nothing counted. Waits for lookups under way. */
void name_service_reset(const char *addresses);
void name_service_set(const char *addresses, int code, bool silent);
/* Waits until one of its counters is n. */
void name_service_await(const unsigned *counter, unsigned n);
unsigned name_service_count(const unsigned *counter);

/* The addresses of such a text. */
struct addresses *name_service_addresses(const char *text);

#endif
