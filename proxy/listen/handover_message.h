/* What a porthole and its successor say to each other about one listener, while both run:
 *
 *   successor                        the one that serves
 *     take ADDRESS  ------------->
 *                   <-------------     here (with descriptors), or busy, draining, unknown
 *     serving       ------------->
 *                   <-------------     left, or late
 *
 * A message is a packet of text, "porthole-takeover/1 take tcp:127.0.0.1:80": the version comes first, so that a
 * porthole can say that it does not know another's. Pure. */
#ifndef PORTHOLE_LISTEN_HANDOVER_MESSAGE_H
#define PORTHOLE_LISTEN_HANDOVER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/base/text.h"

#define HANDOVER_VERSION 1
#define HANDOVER_ADDRESS_BYTES                                                                                        \
    128                            /* of an address as text, terminated; the longest is an abstract name of 107 bytes \
                                    */
#define HANDOVER_MESSAGE_BYTES 192 /* of a message; a longer packet is none */

enum handover_word {
    HANDOVER_TAKE,     /* the successor asks for the listener at an address */
    HANDOVER_HERE,     /* its socket, to be shared until the successor serves */
    HANDOVER_BUSY,     /* another successor has it already and does not serve yet */
    HANDOVER_DRAINING, /* it will be closed in a moment */
    HANDOVER_UNKNOWN,  /* not an address of ours */
    HANDOVER_SERVING,  /* the successor accepts on it: the other may leave */
    HANDOVER_LEFT,     /* whoever accepts here ends that in this moment */
    HANDOVER_LATE,     /* the successor has taken too long and is to give it up */
    HANDOVER_OTHER,    /* something of another version */
    N_HANDOVER_WORDS,
};

struct handover_message {
    uint32_t version; /* 1 to 999 */
    enum handover_word word;
    struct text address; /* of HANDOVER_TAKE; a view of the packet */
};

/* Reads a packet. 0, or -EPROTO when it is no message of any version. */
int handover_parse(struct text packet, struct handover_message *ret_message) WARN_UNUSED;
/* Writes one of our version, which is not HANDOVER_OTHER; `address` is that of HANDOVER_TAKE, fit for one
 * (handover_fits_address), or NULL. Returns its length. */
size_t handover_format(enum handover_word word, const char *address, char out[HANDOVER_MESSAGE_BYTES]);

/* Whether it can stand in a message: no control bytes, and not too long. */
bool handover_fits_address(struct text address);

#endif
