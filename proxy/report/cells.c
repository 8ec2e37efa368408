#include "proxy/report/cells.h"

#include <stdlib.h>

void cells_deinit(struct cells *cells)
{
    struct cells_block *next;

    for (struct cells_block *block = atomic_load(&cells->first); block; block = next) {
        next = atomic_load(&block->next);
        free(block);
    }
    *cells = (struct cells){0};
}

/* The one with this key, or the block that is the last in *ret_last. */
static struct cell *cells_find(struct cells *cells, uint32_t key, struct cells_block **ret_last)
{
    *ret_last = NULL;
    for (struct cells_block *block = atomic_load_explicit(&cells->first, memory_order_relaxed); block;
         block = atomic_load_explicit(&block->next, memory_order_relaxed)) {
        unsigned n = atomic_load_explicit(&block->n, memory_order_relaxed);

        *ret_last = block;
        for (unsigned i = 0; i < n; i++)
            if (block->cells[i].key == key)
                return &block->cells[i];
    }
    return NULL;
}

static struct cells_block *cells_grow(struct cells *cells, struct cells_block *last)
{
    struct cells_block *block = calloc(1, sizeof(*block));

    if (block)
        atomic_store_explicit(last ? &last->next : &cells->first, block, memory_order_release);
    return block;
}

/* NULL when out of memory. */
static struct cell *cells_make(struct cells *cells, struct cells_block *last, uint32_t key)
{
    struct cells_block *block = last;
    unsigned n;

    if (!block || atomic_load_explicit(&block->n, memory_order_relaxed) == CELLS_PER_BLOCK)
        block = cells_grow(cells, last);
    if (!block)
        return NULL;
    n = atomic_load_explicit(&block->n, memory_order_relaxed);
    block->cells[n].key = key;
    atomic_store_explicit(&block->n, n + 1, memory_order_release);
    cells->n++;
    return &block->cells[n];
}

void cells_add_other(struct cells *cells, uint32_t key, uint32_t rest, uint64_t n)
{
    struct cells_block *last;
    struct cell *cell = cells_find(cells, key, &last);

    if (!cell && cells->n >= CELLS_MOST) {
        key = rest;
        cell = cells_find(cells, key, &last);
    }
    if (!cell && cells->n < CELLS_MOST + CELLS_MOST_REST)
        cell = cells_make(cells, last, key);
    if (cell)
        cells->last = cell;
    counter_add(cell ? &cell->n : &cells->unplaced, n);
}

void cells_read(const struct cells *cells, void (*fn)(void *closure, uint32_t key, uint64_t n), void *closure)
{
    uint64_t unplaced = counter_read(&cells->unplaced);

    for (const struct cells_block *block = atomic_load_explicit(&cells->first, memory_order_acquire); block;
         block = atomic_load_explicit(&block->next, memory_order_acquire)) {
        unsigned n = atomic_load_explicit(&block->n, memory_order_acquire);

        for (unsigned i = 0; i < n; i++)
            fn(closure, block->cells[i].key, counter_read(&block->cells[i].n));
    }
    if (unplaced > 0)
        fn(closure, CELLS_UNPLACED, unplaced);
}
