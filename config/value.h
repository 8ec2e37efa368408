/* Numbers with units as people write them, and back. Pure. */
#ifndef PORTHOLE_CONFIG_VALUE_H
#define PORTHOLE_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/limit.h"
#include "proxy/base/error.h"

/* Enough for every number that value_format writes, terminated. */
#define VALUE_BYTES 40

enum value_verdict {
    VALUE_OK,
    VALUE_MALFORMED, /* not a number with a unit of this kind */
    VALUE_HUGE,      /* well formed, but beyond 64 bits */
};

/* "250ms", "5s" (UNIT_MS); "512B", "64KiB", "unlimited" (UNIT_BYTES, and UNIT_MEMORY, which has "auto", too); "0660"
 * (UNIT_MODE); "12" (UNIT_COUNT); "0.25" (UNIT_FRACTION, in thousandths: 250). Stores only on VALUE_OK. */
enum value_verdict value_parse(const char *text, enum limit_unit unit, uint64_t *ret_value) WARN_UNUSED;

/* The shortest spelling that value_parse reads as the same number. Returns out. */
const char *value_format(uint64_t value, enum limit_unit unit, char out[VALUE_BYTES]);

/* "200", "2xx" or "200-399", of final statuses (200 to 599). Stores only if it is one of these. */
bool value_parse_statuses(const char *text, unsigned *ret_least, unsigned *ret_most);

/* Whether it may be a name: [A-Za-z0-9_.-]{1,64}. */
bool value_is_name(const char *name);

/* What a value of the unit looks like, for "expected ...". */
const char *value_expected(enum limit_unit unit);

#endif
