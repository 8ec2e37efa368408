/* A path that was seen, as a pattern that lets it through, and others like it. Pure.
 *
 * What stands for one thing among many is generalised, and nothing else:
 *   /v1.44/...              the number behind the point, of a first segment
 *   4bf92f3577b3...         12 hex digits or more (lower case), as many as there were
 *   8-4-4-4-12 hex digits   a UUID
 *   17                      a number
 *   a name                  behind the name of a collection that is known (generalize.def), unless it is one of its
 * words All the rest stands for itself. */
#ifndef PORTHOLE_CMD_GENERALIZE_H
#define PORTHOLE_CMD_GENERALIZE_H

#include <stdbool.h>

#include "proxy/base/text.h"

#define GENERAL_PATTERN_BYTES 2048
#define GENERAL_NAME_BYTES 48

/* A name, and an id among them: what is behind a collection. */
#define GENERAL_NAME_PATTERN "[a-zA-Z0-9][a-zA-Z0-9_.-]*"

struct general {
    bool versioned;                      /* the path began with a version, which `pattern` does not have */
    bool plain;                          /* the pattern is a path as it stands */
    unsigned major;                      /* of that version */
    char pattern[GENERAL_PATTERN_BYTES]; /* for path_regex, terminated, like the next */
    char name[GENERAL_NAME_BYTES];       /* words for people: [a-z0-9-] */
};

/* `view` is what matching sees of a path (path_view). False when the pattern has no room. */
bool generalize(struct text view, struct general *ret_general);

#endif
