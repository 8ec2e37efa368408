/* Users and groups by name, without NSS: a static binary in an empty image has none. Main thread only. */
#ifndef PORTHOLE_CONFIG_OWNER_H
#define PORTHOLE_CONFIG_OWNER_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"

enum owner_kind { OWNER_USER, OWNER_GROUP };

/* What ids that have no number in a user namespace are shown as, unless somebody changed it (user_namespaces(7)). */
#define OWNER_OVERFLOW 65534u
/* The largest id; the one above means "unchanged" to chown. */
#define OWNER_ID_MAX (UINT32_MAX - 1)

/* The file that names are looked up in. */
const char *owner_file(enum owner_kind kind);

/* The name of an id, or its number where it has none; terminated, cut if it must be. */
void owner_name(uint32_t id, enum owner_kind kind, char *out, size_t size);

/* The id of a name in `file` (as owner_file), or of a decimal number. 0; 1 with what is wrong in error->message. */
int owner_find(const char *text, enum owner_kind kind, const char *file, uint32_t *ret_id,
               struct error *error) WARN_UNUSED;

#endif
