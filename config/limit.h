/* The numbers a user can set: limits.def as data. */
#ifndef PORTHOLE_CONFIG_LIMIT_H
#define PORTHOLE_CONFIG_LIMIT_H

#include <stdint.h>

#define LIMIT_MEMORY_AUTO (UINT64_MAX - 1) /* of UNIT_MEMORY: what the system says */

enum limit_unit { UNIT_COUNT, UNIT_BYTES, UNIT_MEMORY, UNIT_MS, UNIT_MODE, UNIT_FRACTION };

enum limit_id {
#define LIMIT(id, unit, fallback, minimum, maximum, sentence) LIMIT_##id,
#include "config/limits.def"
#undef LIMIT
    N_LIMITS
};

/* One row of the table. Constant, for ever. */
struct limit {
    enum limit_unit unit;
    uint64_t fallback, minimum, maximum; /* UINT64_MAX of bytes and memory: unlimited */
    const char *sentence;
};

extern const struct limit limits[N_LIMITS];

/* Stores `value` in the field at `out`: uint32_t for counts and fractions, mode_t for modes, else uint64_t. */
void limit_store(const struct limit *limit, uint64_t value, void *out);
/* The other way. */
uint64_t limit_fetch(const struct limit *limit, const void *field);

#endif
