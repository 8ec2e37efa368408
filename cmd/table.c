#include "cmd/table.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/line.h"

#define TABLE_GAP 2

void table_init(struct table *table, const struct table_column *columns, size_t n_columns)
{
    *table = (struct table){.columns = columns, .n_columns = n_columns};
}

void table_deinit(struct table *table)
{
    free(table->cells);
}

void table_put(struct table *table, const char *text)
{
    size_t n;

    if (table->n_cells == table->size) {
        size_t size = table->size ? 2 * table->size : 16 * table->n_columns;
        void *grown = realloc(table->cells, size * sizeof(*table->cells));

        table->failed = table->failed || !grown;
        if (!grown)
            return;
        table->cells = grown;
        table->size = size;
    }
    n = text ? line_escape(table->cells[table->n_cells], TABLE_CELL_BYTES - 1, text, strlen(text)) : 0;
    table->cells[table->n_cells++][n] = '\0';
}

/* As people read it: 12345 is 12.3k. */
void table_put_number(struct table *table, double n)
{
    static const char units[] = " kMGTP";
    size_t unit = 0;
    char text[32];

    while (n >= 10000 && unit + 2 < sizeof(units)) {
        n /= 1000;
        unit++;
    }
    if (unit == 0)
        snprintf(text, sizeof(text), "%.*f", n < 10 && n > 0 && n != (double)(long)n ? 1 : 0, n);
    else
        snprintf(text, sizeof(text), "%.1f%c", n, units[unit]);
    table_put(table, text);
}

/* Characters, of UTF-8. */
static size_t table_width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static size_t table_n_rows(const struct table *table)
{
    return table->n_cells / table->n_columns;
}

static const char *table_cell(const struct table *table, size_t row, size_t column)
{
    return table->cells[row * table->n_columns + column];
}

/* Columns without anything in any row are not there. */
static void table_measure(const struct table *table, size_t n_rows, size_t *widths)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        widths[i] = 0;
        for (size_t row = 0; row < n_rows; row++) {
            size_t width = table_width_of(table_cell(table, row, i));

            widths[i] = width > widths[i] ? width : widths[i];
        }
        if (widths[i] > 0 && widths[i] < strlen(table->columns[i].name))
            widths[i] = strlen(table->columns[i].name);
    }
}

static size_t table_sum(const struct table *table, const size_t *widths)
{
    size_t sum = 0;

    for (size_t i = 0; i < table->n_columns; i++)
        sum += widths[i] > 0 ? widths[i] + TABLE_GAP : 0;
    return sum > 0 ? sum - TABLE_GAP : 0;
}

/* Leaves out what matters least until it fits, or nothing more can go. */
static void table_fit(const struct table *table, size_t *widths, size_t width)
{
    while (table_sum(table, widths) > width) {
        size_t least = table->n_columns;

        for (size_t i = 0; i < table->n_columns; i++)
            if (widths[i] > 0 && table->columns[i].rank > 0 &&
                (least == table->n_columns || table->columns[i].rank >= table->columns[least].rank))
                least = i;
        if (least == table->n_columns)
            return;
        widths[least] = 0;
    }
}

/* Writes `most` characters of it, and says how many there were. */
static size_t table_write_cut(FILE *out, const char *text, size_t most)
{
    size_t n = 0;

    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80 && n++ >= most)
            return most;
        putc(*text, out);
    }
    return n;
}

/* Row -1 is the head. */
static void table_write_row(const struct table *table, FILE *out, const size_t *widths, size_t width, long row)
{
    size_t at = 0, pending = 0;

    for (size_t i = 0; i < table->n_columns; i++) {
        const char *text = row < 0 ? table->columns[i].name : table_cell(table, (size_t)row, i);
        size_t n = table_width_of(text);

        if (widths[i] == 0)
            continue;
        if (table->columns[i].is_number && n < widths[i])
            pending += widths[i] - n;
        if (at + pending >= width)
            break;
        if (n > 0) {
            fprintf(out, "%*s", (int)pending, "");
            at += pending;
            at += table_write_cut(out, text, width - at);
            pending = 0;
        }
        pending += TABLE_GAP + (table->columns[i].is_number ? 0 : widths[i] - n);
    }
    putc('\n', out);
}

void table_write(const struct table *table, FILE *out, size_t width, size_t most)
{
    size_t widths[TABLE_MOST_COLUMNS], n_rows = table_n_rows(table);
    size_t shown = n_rows > most ? most : n_rows;

    table_measure(table, shown, widths);
    table_fit(table, widths, width);
    table_write_row(table, out, widths, width, -1);
    for (size_t row = 0; row < shown; row++)
        table_write_row(table, out, widths, width, (long)row);
    if (n_rows > shown)
        fprintf(out, "(%zu more: --json has them all)\n", n_rows - shown);
}
