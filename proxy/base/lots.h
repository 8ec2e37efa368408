/* Lots: numbers that have no pattern, to spread load and times. Not for secrets. */
#ifndef PORTHOLE_BASE_LOTS_H
#define PORTHOLE_BASE_LOTS_H

#include <stdint.h>

#include "proxy/base/clock.h"

/* Embedded in whoever draws. One thread. */
struct lots {
    uint64_t state;
};

/* Others draw other ones, at another time or place. */
static inline void lots_init(struct lots *lots)
{
    lots->state = instant_now().ns ^ (uintptr_t)lots;
}

/* splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): good from the first one
 * on, whatever it begins with. */
static inline uint64_t lots_draw(struct lots *lots)
{
    uint64_t x = lots->state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

#endif
