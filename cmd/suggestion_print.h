/* A suggestion, as a configuration and as a table for people. */
#ifndef PORTHOLE_CMD_SUGGESTION_PRINT_H
#define PORTHOLE_CMD_SUGGESTION_PRINT_H

#include <stdio.h>

#include "cmd/suggestion.h"

/* A whole configuration, of which `check` has nothing to say. */
void suggestion_print(const struct suggestion *suggestion, FILE *out);
/* How often each route was seen, and what was left out. */
void suggestion_tell(const struct suggestion *suggestion, FILE *out);

#endif
