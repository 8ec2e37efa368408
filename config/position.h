/* Where in a JSON text a value stands. jansson tells positions of syntax errors only. Pure. */
#ifndef PORTHOLE_CONFIG_POSITION_H
#define PORTHOLE_CONFIG_POSITION_H

#include <stdbool.h>
#include <stddef.h>

/* A place a person can go to: both count from 1, columns count characters, not bytes. */
struct position {
    int line, column;
};

/* The position of the byte at `offset` (at most `length`) of a UTF-8 text. */
struct position position_of_offset(const char *text, size_t length, size_t offset);

/* The length of the string that begins at `offset`, quotes included; 0 when none does, or it has no end. */
size_t position_string_length(const char *text, size_t length, size_t offset);

/* The position of what an RFC 6901 pointer names in a text that jansson has accepted: of the value, or with
 * `key` of the key before it. A pointer that leads nowhere gives the deepest value that exists. */
struct position position_of_pointer(const char *text, size_t length, const char *pointer, bool key);

#endif
