/* The end of a TCP connection whose other side may still be sending.
 *
 * To close one of which something is unread, or to which something still comes, is a reset (RFC 9293 3.10.7.1), and
 * that takes with it what was on its way to the other side. So that is told the end first, and what it still says is
 * dropped until nothing is on its way any more, or it has ended, too, or has taken nothing for a moment: who is stuck
 * in sending is let go at once when there is nothing to lose. (What has been acknowledged stays readable on Linux,
 * whatever comes behind it.) A Unix socket needs none of this: what it was given is the other side's, whatever happens
 * to this one. */
#ifndef PORTHOLE_TUNNEL_PARTING_H
#define PORTHOLE_TUNNEL_PARTING_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/clock.h"

#define PARTING_LOOK_MS 2000u          /* between two looks at what has been taken */
#define PARTING_MOST_MS 30000u         /* for all of them */
#define PARTING_MOST_BYTES (16u << 20) /* are dropped; then nothing more is received */

/* Embedded in its tunnel, for each side. */
struct parting {
    int fd;                 /* borrowed; -1: there is none */
    int unsent;             /* bytes on their way at the last look */
    uint32_t dropped_bytes; /* since it began */
};

#define PARTING_INIT \
    {                \
        .fd = -1     \
    }

/* Tells the other side that nothing more will come. */
void parting_begin(struct parting *parting, int fd);
static inline bool parting_is_on(const struct parting *parting)
{
    return parting->fd >= 0;
}
enum parting_result { PARTING_OVER, PARTING_WAIT, PARTING_MORE };
/* Drops what has come, a few blocks at most. OVER: nothing is on its way to the other side any more, or that has ended.
 * MORE: there may be more. */
enum parting_result parting_drop(struct parting *parting);
/* Whether the other side has taken something since the last look, and has not taken all of it. */
bool parting_is_taken(struct parting *parting);

#endif
