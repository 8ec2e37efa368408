/* Every key of the document: reading (config/read.h), printing, freeing, the reference and the test that holds
 * schema.json to the loader walk the same tables. A new key is a row in keys.c, a field in its struct, and a row in
 * schema.json and one in README.md. */
#ifndef PORTHOLE_CONFIG_KEYS_H
#define PORTHOLE_CONFIG_KEYS_H

#include "config/key.h"

/* The document, whose section is struct snapshot. */
extern const struct key keys_document[];
/* One target. */
extern const struct key keys_target[];
/* By enum target_balance. */
extern const char *const keys_balance_words[];

#endif
