/* Collecting what is wrong with a file (struct problems is in config/load.h). */
#ifndef PORTHOLE_CONFIG_PROBLEM_H
#define PORTHOLE_CONFIG_PROBLEM_H

#include <stdarg.h>

#include "config/load.h"
#include "config/position.h"

/* Nobody reads more at once, and each costs a walk through the file. */
#define PROBLEMS_MAX 100

/* Adds one; position {0, 0} when there is none, pointer is copied. Beyond PROBLEMS_MAX it only adds a last one
 * that says so. 0 or -ENOMEM. */
int problems_add_v(struct problems *problems, struct position position, const char *pointer, const char *format,
                   va_list args) PRINTF_LIKE(4, 0) WARN_UNUSED;
int problems_add(struct problems *problems, struct position position, const char *pointer, const char *format, ...)
    PRINTF_LIKE(4, 5) WARN_UNUSED;

/* Puts them in the order of the file; those of one place stay in the order they were found. */
void problems_sort(struct problems *problems);

/* A string of the user's as it appears in a message. */
#define PROBLEM_SHOWN_BYTES 72

/* Copies `text`, cut at a whole character and marked with "..." where it is too long. Returns out. */
const char *problem_show(const char *text, char out[PROBLEM_SHOWN_BYTES]);
#define PROBLEM_SHOW(text) problem_show(text, (char[PROBLEM_SHOWN_BYTES]){""})

/* The one of a NULL-terminated list that `given` was probably meant to be, or NULL. */
const char *problem_suggest(const char *given, const char *const *candidates);

#endif
