#include "config/log_fields.h"

#include <stddef.h>

const char *const log_field_names[] = {
#define LOG_FIELD(id, name) [LOG_FIELD_##id] = (name),
#include "config/log_fields.def"
#undef LOG_FIELD
    [N_LOG_FIELDS] = NULL};

const char *const log_only_names[] = {[LOG_ONLY_ALL] = "all", [LOG_ONLY_FAILURES] = "failures", NULL};
