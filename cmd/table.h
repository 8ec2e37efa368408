/* Tables on a terminal: columns as wide as what is in them, those that matter least left out where the terminal is
 * narrow, the last one cut. What is put in is escaped: whatever it is, it moves no cursor. */
#ifndef PORTHOLE_CMD_TABLE_H
#define PORTHOLE_CMD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_MOST_COLUMNS 12
#define TABLE_CELL_BYTES 160 /* what is longer is cut */

struct table_column {
    const char *name;
    bool is_number; /* stands at the right */
    unsigned rank;  /* 0: always there; the highest goes first */
};

/* On its maker's stack, begun with table_init. */
struct table {
    const struct table_column *columns; /* borrowed */
    size_t n_columns;
    char (*cells)[TABLE_CELL_BYTES]; /* owned; row by row */
    size_t n_cells, size;
    bool failed; /* no memory: rows are missing */
};

void table_init(struct table *table, const struct table_column *columns, size_t n_columns);
void table_deinit(struct table *table);
/* The next cell, from left to right, row by row. NULL is an empty one. */
void table_put(struct table *table, const char *text);
void table_put_number(struct table *table, double n);
/* Writes it, `width` characters wide at most, with `most` rows at most and a line about those that are missing. */
void table_write(const struct table *table, FILE *out, size_t width, size_t most);

#endif
