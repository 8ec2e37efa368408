/* Secrets: what small files hold (a token, a password), as it is at the moment.
 *
 * A file is looked at once a second at most (one stat), and read again when it is another one or has changed. What lies
 * there must be usable as a whole in a field of a message: no control byte but HTAB, and not nothing. One thread. */
#ifndef PORTHOLE_BASE_SECRET_H
#define PORTHOLE_BASE_SECRET_H

#include <stdbool.h>

#include "proxy/base/clock.h"
#include "proxy/base/error.h"
#include "proxy/base/file_mark.h"
#include "proxy/base/text.h"

#define SECRET_MOST_BYTES (64u * 1024)
#define SECRET_LOOK_MS 1000u
/* Enough for secret_reason, terminated. */
#define SECRET_REASON_BYTES 160

/* One file. All zero but for path. */
struct secret {
    const char *path; /* borrowed; absolute */
    char *data;       /* owned, terminated; NULL: it cannot be used, and the next two say why */
    size_t length;
    int error_number;         /* 0: not for an error of the system */
    const char *wrong;        /* literal that reads behind the path; NULL: the error says it */
    struct file_mark mark;    /* of what was read; all zero: to be read again at the next look */
    struct instant looked_at; /* 0: never */
};

/* What the file holds, but for one line feed at its end; valid until the next call. False when it cannot be used. */
bool secret_get(struct secret *secret, struct instant now, struct text *ret_text);
/* Why it cannot, as a sentence: "/run/token: No such file or directory". Returns out. */
const char *secret_reason(const struct secret *secret, char *out, size_t size);
/* Forgets it. */
void secret_deinit(struct secret *secret);

#endif
