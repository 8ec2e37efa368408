/* What a configuration can take of memory, told to people. */
#ifndef PORTHOLE_CMD_MEMORY_H
#define PORTHOLE_CMD_MEMORY_H

#include "config/snapshot.h"

/* Prints how much it is at worst, and a line for each part (proxy/memory_need.h). */
void memory_print(const struct snapshot *snapshot, const char *file);

#endif
