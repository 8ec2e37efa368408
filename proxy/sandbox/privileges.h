/* What a process of root's may do beyond other users, and what it may become: capabilities, and programs that would
 * give it more.
 *
 * Which capabilities stay is the configuration's matter:
 *
 *   CAP_CHOWN             "owner" or "group" of a listener
 *   CAP_FOWNER            "owner": the mode of a socket that is another user's, and to take it away
 *   CAP_FSETID            "group" or "directory_mode": a set-group-ID bit stays when the mode is set
 *   CAP_DAC_OVERRIDE      "owner"; a file, directory or target that we may not open without it, and a target that is
 *                         not there yet
 *   CAP_NET_BIND_SERVICE  a TCP listener on a port below 1024
 *
 * All others go, and each of these where nothing asks for it. A process of another user usually has none. */
#ifndef PORTHOLE_SANDBOX_PRIVILEGES_H
#define PORTHOLE_SANDBOX_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/sandbox/needs.h"

#define PRIVILEGES_TEXT_BYTES 128

/* Those that the needs name; a bit for each capability's number. Does not look at files. */
uint64_t privileges_named(const struct needs *needs);
/* Those of them without which a new configuration cannot be served. */
uint64_t privileges_needed(const struct needs *needs);

/* What has been done. */
struct privileges {
    bool no_new;      /* nothing that is executed gives more than we have */
    uint64_t had;     /* before */
    uint64_t kept;    /* of those */
    int error_number; /* why capabilities could not be given up; 0 */
};

/* Gives up everything else, for this thread and those that it starts, and for good. Looks with fewer rights at what is
 * needed before it decides about CAP_DAC_OVERRIDE. */
void privileges_drop(const struct needs *needs, struct privileges *ret);

/* Names them, or says "none". Returns text. */
const char *privileges_format(uint64_t set, char text[PRIVILEGES_TEXT_BYTES]);

#endif
