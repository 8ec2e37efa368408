/* How much memory a configuration can take at worst: every listener has all the clients that it may have, each has an
 * exchange under way whose heads are as large as they may be, and neither it nor its target takes what lies there.
 * config/README.md tells the formula ("Memory"). What the kernel has for sockets is not in it. */
#ifndef PORTHOLE_MEMORY_NEED_H
#define PORTHOLE_MEMORY_NEED_H

#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"

/* Of the whole process, in bytes. */
struct memory_need {
    uint64_t program; /* whatever it serves: itself, its libraries, its threads, its configuration twice */
    uint64_t clients; /* of all listeners */
    uint64_t tls;     /* connections to https targets */
    uint64_t bodies;  /* that rules judge */
    uint64_t taps;    /* their readers */
    uint64_t gaps;    /* that the C library keeps between what is in use */
};

void memory_need(const struct snapshot *snapshot, struct memory_need *ret_need);
uint64_t memory_need_total(const struct memory_need *need);

/* Of one listener: how many clients it may have, and what each takes. */
uint32_t memory_need_clients(const struct listener_config *listener);
uint64_t memory_need_each(const struct snapshot *snapshot, const struct listener_config *listener);

#endif
