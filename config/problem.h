/* Collecting what is wrong with a file. */
#ifndef PORTHOLE_CONFIG_PROBLEM_H
#define PORTHOLE_CONFIG_PROBLEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "config/position.h"
#include "proxy/base/error.h"
#include "proxy/base/sha256.h"

/* One thing that is wrong with a file. */
struct problem {
    int line, column; /* from 1; 0 when the file could not be read at all */
    char *pointer;    /* RFC 6901, "" for the whole document; owned */
    char *message;    /* what is wrong and what was expected; owned */
};

/* Everything that is wrong with a file, in the order of the file. Caller-owned; PROBLEMS_INIT. */
struct problems {
    struct problem *items;
    size_t n_items, capacity;
    char **files; /* owned; absolute paths of those that cannot be read, without which the file is not right */
    size_t n_files;
    char sha256[SHA256_HEX_BYTES]; /* of the file's bytes; "": it could not be read */
};

#define PROBLEMS_INIT           \
    {                           \
        NULL, 0, 0, NULL, 0, "" \
    }

/* Nobody reads more at once, and each costs a walk through the file. */
#define PROBLEMS_MAX 100

void problems_deinit(struct problems *problems);

/* Adds one; position {0, 0} when there is none, pointer is copied. Beyond PROBLEMS_MAX it only adds a last one
 * that says so. 0 or -ENOMEM. */
int problems_add_v(struct problems *problems, struct position position, const char *pointer, const char *format,
                   va_list args) PRINTF_LIKE(4, 0) WARN_UNUSED;
int problems_add(struct problems *problems, struct position position, const char *pointer, const char *format, ...)
    PRINTF_LIKE(4, 5) WARN_UNUSED;

/* This file is missing: once it can be read, the other may be right. Not more than are shown. 0 or -ENOMEM. */
int problems_miss_file(struct problems *problems, const char *path) WARN_UNUSED;

/* True when no other would be shown. */
bool problems_are_full(const struct problems *problems);

/* Puts them in the order of the file; those of one place stay in the order they were found. */
void problems_sort(struct problems *problems);

/* Prints each as "FILE:LINE:COLUMN: KIND POINTER: MESSAGE" (no "FILE:..:" parts that are not known); kind is "" or
 * "warning: ". */
void problems_print(const struct problems *problems, const char *file, const char *kind, FILE *to);

#endif
