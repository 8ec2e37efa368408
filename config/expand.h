/* ${NAME} and ${NAME:-default} from the environment. */
#ifndef PORTHOLE_CONFIG_EXPAND_H
#define PORTHOLE_CONFIG_EXPAND_H

#include "config/reader.h"

/* All expanded strings of one file together. */
#define EXPAND_BYTES_MAX ((size_t)16 << 20)

/* Replaces every string below and including *value by its expansion. Keys are left alone. Strings that cannot be
 * expanded become reader->broken, with a problem. */
void expand_tree(struct reader *reader, const struct place *at, json_t **value);

/* Writes text so that expanding it gives it back: "${" becomes "$${". The caller owns it; NULL: out of memory. */
char *expand_escape(const char *text) WARN_UNUSED;

#endif
