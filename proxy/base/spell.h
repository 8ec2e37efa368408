/* Spells: for how long something has been so, all together. Several may say that it is so, each for itself; it is while
 * one of them does. Shared by threads; what begins and ends often should be something else. */
#ifndef PORTHOLE_BASE_SPELL_H
#define PORTHOLE_BASE_SPELL_H

#include <pthread.h>
#include <stdint.h>

#include "proxy/base/clock.h"

struct spell {
    pthread_mutex_t lock; /* of what follows */
    unsigned n;           /* for whom it is so */
    struct instant since; /* while there is one */
    uint64_t ns;          /* before that */
};

void spell_init(struct spell *spell);
void spell_deinit(struct spell *spell);
/* It is so for one more, or for one less. */
void spell_begin(struct spell *spell);
void spell_end(struct spell *spell);
/* Until now; never less than before. */
uint64_t spell_ns(struct spell *spell);

#endif
