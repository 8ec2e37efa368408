/* Claims: what a porthole says of a socket that it publishes, in the name that it binds.
 *
 * The kernel tells whoever connects under which name a listening socket was bound and which user made it listen, and
 * nobody can change either afterwards. So a name that ends with a claim, on a socket of our own user, is the word of
 * another porthole: that it serves this place, and since when. A socket that was moved or linked to the place by
 * somebody else says nothing, or speaks of another place. Of two portholes that claim one place the later one is the
 * successor, and the earlier one leaves. */
#ifndef PORTHOLE_LISTEN_CLAIM_H
#define PORTHOLE_LISTEN_CLAIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/base/text.h"

#define CLAIM_LENGTH 25 /* "@" and the digits */

/* All zeros: says nothing. */
struct claim {
    uint64_t since; /* orders claims; ns of CLOCK_BOOTTIME, which containers share, or later than who was there */
    uint32_t place; /* claim_place */
};

/* A socket's place: a name in a directory. The inode number is enough, for no file leaves its file system. */
uint32_t claim_place(ino_t directory, const char *name);
/* A claim to the place that is laid now. */
struct claim claim_lay(uint32_t place);

/* Writes the claim as the end of a file's name. */
void claim_format(const struct claim *claim, char out[CLAIM_LENGTH + 1]);
/* Reads the claim at the end of a bound name; of zeros when there is none. */
struct claim claim_parse(struct text name);

/* Whether `other` is a claim to the same place, laid after ours. */
bool claim_is_later(const struct claim *other, const struct claim *ours);

#endif
