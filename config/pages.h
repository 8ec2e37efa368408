/* The pages of admin listeners (pages.def): sets of them are bits, one for each. */
#ifndef PORTHOLE_CONFIG_PAGES_H
#define PORTHOLE_CONFIG_PAGES_H

#include "config/address.h"

enum page_id {
#define PAGE(id, name, path, everywhere, sentence) PAGE_##id,
#include "config/pages.def"
#undef PAGE
    N_PAGES
};

/* Names by enum page_id, NULL after the last. */
extern const char *const page_names[N_PAGES + 1];
/* Paths, likewise. */
extern const char *const page_paths[N_PAGES + 1];

/* What a listener at such an address has that lists none: all, or over TCP, where everybody who has the port comes in,
 * those that tell nothing of requests. */
unsigned pages_by_default(const struct address *bind);

#endif
