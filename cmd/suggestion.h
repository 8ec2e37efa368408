/* What was seen, gathered into routes: one for each method, path pattern and target, then made fewer. */
#ifndef PORTHOLE_CMD_SUGGESTION_H
#define PORTHOLE_CMD_SUGGESTION_H

#include <stdint.h>

#include "cmd/generalize.h"
#include "cmd/seen.h"

#define SUGGESTION_MOST_ROUTES 512
#define SUGGESTION_MOST_PINS 8
#define SUGGESTION_MOST_METHODS 8
#define SUGGESTION_MOST_UPGRADES 4
#define SUGGESTION_WORD_BYTES 33
#define SUGGESTION_ADDRESS_BYTES 256

/* A parameter that every request had with the same value. */
struct suggested_pin {
    char name[SUGGESTION_WORD_BYTES], value[8];
};

struct suggested_route {
    struct general general;
    bool bare; /* seen without a version, too; with general.versioned */
    char methods[SUGGESTION_MOST_METHODS][SUGGESTION_WORD_BYTES];
    size_t n_methods;
    char target[SUGGESTION_ADDRESS_BYTES], endpoint[SUGGESTION_ADDRESS_BYTES]; /* "" : not told */
    struct suggested_pin pins[SUGGESTION_MOST_PINS];
    size_t n_pins;
    char upgrades[SUGGESTION_MOST_UPGRADES][SUGGESTION_WORD_BYTES]; /* lower case */
    size_t n_upgrades;
    bool upgrades_unknown; /* there were some, which nobody has told */
    uint64_t n_seen;
};

struct suggestion {
    struct suggested_route *routes[SUGGESTION_MOST_ROUTES]; /* owned */
    size_t n_routes;
    uint64_t n_refused, n_unclear, n_answered; /* left out: refused by routes or limits; paths that no route can let
                                                  through; what porthole answered itself */
};

enum suggestion_verdict { SUGGESTION_OK, SUGGESTION_FULL, SUGGESTION_NO_MEMORY };

/* Takes what was seen into account. FULL: there are too many routes for people to read. */
enum suggestion_verdict suggestion_add(struct suggestion *suggestion, const struct seen *seen);
/* Makes fewer of them: what another lets through as well goes, methods of one path come together. */
void suggestion_finish(struct suggestion *suggestion);
void suggestion_deinit(struct suggestion *suggestion);

#endif
