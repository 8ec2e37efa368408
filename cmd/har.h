/* HTTP Archives (HAR 1.2): exchanges as a browser's network panel opens them.
 *
 * The file is whole after each entry, so that whoever ends the process has what was there. */
#ifndef PORTHOLE_CMD_HAR_H
#define PORTHOLE_CMD_HAR_H

#include <jansson.h>

#include "proxy/base/error.h"

struct har;

/* Makes the file (mode 0600: heads and bodies are nobody else's business), or empties it. 0 or a negative errno with
 * the error set. */
int har_open(const char *path, struct har **ret_har, struct error *error) WARN_UNUSED;
/* Adds an object of GET /tap that is an exchange, or a tunnel that begins; others are passed over. 0 or a negative
 * errno with the error set. */
int har_add(struct har *har, const json_t *record, struct error *error) WARN_UNUSED;
/* Takes NULL. */
void har_close(struct har *har);

/* The entry of a record; NULL: it is none, or out of memory. The caller owns it. */
json_t *har_entry(const json_t *record);

#endif
