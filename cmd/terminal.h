/* The terminal that standard output may be. */
#ifndef PORTHOLE_CMD_TERMINAL_H
#define PORTHOLE_CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

struct terminal {
    bool is_one;
    bool obeys;    /* sequences that colour and clear it: TERM says which one it is, and not "dumb" */
    size_t width;  /* in characters */
    size_t height; /* in lines; 0: as many as there are */
};

/* As it is now; it may get another size at any time. `width` is that of what is no terminal, or does not tell. */
struct terminal terminal_look(size_t width);

#endif
