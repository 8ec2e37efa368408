/* Records of a tap as rows of a table, written as they come. What is put in is escaped: whatever it is, it moves no
 * cursor. */
#ifndef PORTHOLE_CMD_TAP_VIEW_H
#define PORTHOLE_CMD_TAP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TAP_VIEW_NARROW 100u /* below so many characters, columns are left out */

struct tap_view_style {
    size_t width; /* characters of a row */
    bool colours;
};

/* What is above the first row. */
void tap_view_head(FILE *out, const struct tap_view_style *style);
/* One row: an object of GET /tap, whatever it has. */
void tap_view_row(FILE *out, const json_t *record, const struct tap_view_style *style);

#endif
