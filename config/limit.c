#include "config/limit.h"

#include <sys/types.h>

const struct limit limits[N_LIMITS] = {
#define LIMIT(id, unit, fallback, minimum, maximum, sentence) \
    [LIMIT_##id] = {UNIT_##unit, fallback, minimum, maximum, sentence},
#include "config/limits.def"
#undef LIMIT
};

void limit_store(const struct limit *limit, uint64_t value, void *out)
{
    switch (limit->unit) {
    case UNIT_COUNT:
    case UNIT_FRACTION:
        *(uint32_t *)out = (uint32_t)value;
        break;
    case UNIT_MODE:
        *(mode_t *)out = (mode_t)value;
        break;
    case UNIT_BYTES:
    case UNIT_MEMORY:
    case UNIT_MS:
        *(uint64_t *)out = value;
        break;
    }
}

uint64_t limit_fetch(const struct limit *limit, const void *field)
{
    switch (limit->unit) {
    case UNIT_COUNT:
    case UNIT_FRACTION:
        return *(const uint32_t *)field;
    case UNIT_MODE:
        return *(const mode_t *)field;
    case UNIT_BYTES:
    case UNIT_MEMORY:
    case UNIT_MS:
        break;
    }
    return *(const uint64_t *)field;
}
