/* What `porthole status` shows of a /status document: one screen of text. */
#ifndef PORTHOLE_CMD_STATUS_VIEW_H
#define PORTHOLE_CMD_STATUS_VIEW_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

struct status_view {
    const json_t *now;    /* borrowed; as /status says it, or anything else */
    const json_t *before; /* the same, `seconds` earlier; NULL: there are no rates */
    double seconds;
    size_t width;  /* in characters */
    size_t height; /* in lines; 0: as many as there are */
};

/* Whatever is in the document is escaped; what is missing is left out. */
void status_view_write(const struct status_view *view, FILE *out);

#endif
