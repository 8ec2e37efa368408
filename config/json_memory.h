/* The JSON library's memory. jansson does not look at every allocation of its own: when one fails inside a string, the
 * string becomes another one, and nothing is said, or an assertion ends the process (lex_scan_string). So a document is
 * left as soon as one fails while it is parsed, and whoever works on it asks afterwards whether one has. */
#ifndef PORTHOLE_CONFIG_JSON_MEMORY_H
#define PORTHOLE_CONFIG_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/base/error.h"

/* json_loadb. Returns 0 with a tree, or with NULL and what is wrong in *ret_error; or -ENOMEM, with nothing left over.
 */
int json_memory_parse(const char *text, size_t length, size_t flags, json_t **ret_tree,
                      json_error_t *ret_error) WARN_UNUSED;

/* Whether an allocation of the library has failed in this thread since its last json_memory_parse. */
bool json_memory_has_failed(void);

#endif
