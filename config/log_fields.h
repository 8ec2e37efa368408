/* The fields of the access log (log_fields.def): sets of them are bits, one for each. */
#ifndef PORTHOLE_CONFIG_LOG_FIELDS_H
#define PORTHOLE_CONFIG_LOG_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

enum log_field_id {
#define LOG_FIELD(id, name) LOG_FIELD_##id,
#include "config/log_fields.def"
#undef LOG_FIELD
    N_LOG_FIELDS
};

#define LOG_FIELDS_ALL ((1u << N_LOG_FIELDS) - 1)

/* Names by enum log_field_id, NULL after the last. */
extern const char *const log_field_names[N_LOG_FIELDS + 1];

enum log_only { LOG_ONLY_ALL, LOG_ONLY_FAILURES };

/* Names by enum log_only, NULL after the last. */
extern const char *const log_only_names[];

/* Which ends have a line in the access log, and what it tells. */
struct log_choice {
    unsigned fields; /* a bit for each enum log_field_id */
    enum log_only only;
    uint32_t sample; /* of what did not fail one of so many, at least 1 */
};

#endif
