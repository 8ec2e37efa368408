/* Trust: the files that a TLS connection is made with, whom it believes and what it shows.
 *
 * They are read for each connection that is made (connect_options.h), so that a new one is never made with what a file
 * held before. Here is noticed that they have changed, after which connections of before are not used any more. */
#ifndef PORTHOLE_REACH_TRUST_H
#define PORTHOLE_REACH_TRUST_H

#include <stdbool.h>

#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/base/file_mark.h"

#define TRUST_LOOK_MS 1000u
#define TRUST_FILES 3

/* Of one endpoint; embedded in it, all zero at first. */
struct trust {
    struct file_mark marks[TRUST_FILES];
    struct instant looked_at; /* 0: never */
};

/* Whether one of the files is another, or has changed, since it was looked at last; false at the first look. Looks once
 * a second at most. */
bool trust_has_changed(struct trust *trust, const struct tls_config *tls, struct instant now);

/* The file of the authorities that are believed: the configuration's, else that of SSL_CERT_FILE; NULL: libcurl's own.
 */
const char *trust_ca_file(const struct tls_config *tls);
/* Where others may be, of SSL_CERT_DIR, unless the configuration has a file; NULL: libcurl's own. */
const char *trust_ca_directory(const struct tls_config *tls);

#endif
