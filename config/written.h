/* Values in which variables of the environment stand, as the file has them.
 *
 * A variable may well hold a secret. Where one stands in what fields are set to, in what is compared, in a path, a
 * pattern or a body, nobody is shown what it holds: check prints the value as it is written, /config not at all. */
#ifndef PORTHOLE_CONFIG_WRITTEN_H
#define PORTHOLE_CONFIG_WRITTEN_H

#include <stddef.h>

#include "proxy/base/error.h"

struct written {
    const void *value; /* where the snapshot has it: the text, template or pattern. Borrowed */
    char *text;        /* owned */
};

/* Of one snapshot. All zero: none. */
struct written_list {
    struct written *items; /* owned; by value once all are there */
    size_t n_items;
};

/* Copies the text. 0 or -ENOMEM. */
int written_add(struct written_list *list, const void *value, const char *text) WARN_UNUSED;
/* Once all are there. */
void written_sort(struct written_list *list);
/* How the value is written, as long as the list lives; NULL: no variable stands in it. */
const char *written_find(const struct written_list *list, const void *value);
void written_deinit(struct written_list *list);

#endif
