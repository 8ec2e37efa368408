/* Cells: counters for combinations of labels, of which there are only those that were seen.
 *
 * One worker counts: it finds its cell by a key that the caller makes of the labels, most often in the first look, and
 * allocates only when a combination is new. Any thread reads meanwhile: cells never move, and one is told of when it is
 * whole. Their number is bounded; what is beyond is counted under a key without the labels that others can make up. */
#ifndef PORTHOLE_REPORT_CELLS_H
#define PORTHOLE_REPORT_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/report/metrics.h"

#define CELLS_PER_BLOCK 8
/* With room for all keys that callers have for the rest. */
#define CELLS_MOST 128
#define CELLS_MOST_REST 64
/* Nobody has this key: where there was no memory. */
#define CELLS_UNPLACED UINT32_MAX

struct cell {
    uint32_t key;
    struct counter n;
};

struct cells_block {
    struct cells_block *_Atomic next; /* owned */
    atomic_uint n;                    /* cells that are whole */
    struct cell cells[CELLS_PER_BLOCK];
};

/* All zero at first. */
struct cells {
    struct cell *last; /* that was counted in; the writer's, like the next */
    unsigned n;
    struct cells_block *_Atomic first; /* owned */
    struct counter unplaced;
};

void cells_deinit(struct cells *cells);

/* For cells_add, when it is not the same as before. */
void cells_add_other(struct cells *cells, uint32_t key, uint32_t rest, uint64_t n);

/* Counts so many of `key`; of `rest`, one of CELLS_MOST_REST, when there is no room for another key. */
static inline void cells_add(struct cells *cells, uint32_t key, uint32_t rest, uint64_t n)
{
    if (cells->last && cells->last->key == key)
        counter_add(&cells->last->n, n);
    else
        cells_add_other(cells, key, rest, n);
}

/* Calls fn for each that was seen, and for what was not placed, if there is such. Any thread. */
void cells_read(const struct cells *cells, void (*fn)(void *closure, uint32_t key, uint64_t n), void *closure);

#endif
