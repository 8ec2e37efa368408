/* One load: where in the document a value stands, and every problem at its place. */
#ifndef PORTHOLE_CONFIG_READER_H
#define PORTHOLE_CONFIG_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/problem.h"
#include "config/snapshot.h"
#include "proxy/base/error.h"

/* Where in the document a value is: a chain from the value up to the document, on the stack of the functions that
 * went down to it. The document itself is a NULL pointer. */
struct place {
    const struct place *parent; /* NULL: the document */
    const char *key;            /* borrowed; NULL: an element of an array */
    size_t index;
};

/* One string of the tree that a reference was expanded in (config/expand.h). */
struct expanded {
    const json_t *string; /* borrowed: the tree has it */
    char *control;        /* owned: the variable that a control character came from, NULL: none */
    char *written;        /* owned: how the file has it; NULL: no variable stands in it */
    bool late;            /* it is a template: some of its references are for later */
};

/* One load, on config_parse's stack. What a reader_ or read_ function cannot do for want of memory is remembered
 * in `failure`, so that only config_parse needs to look. */
struct reader {
    const char *text; /* borrowed: the file */
    size_t length;
    struct problems *problems; /* borrowed */
    struct snapshot *snapshot; /* borrowed: being built */
    const json_t *broken;      /* owned: stands for a string that could not be expanded and is reported already */
    struct expanded *expanded; /* owned; by string once all are there */
    size_t n_expanded, n_expanded_bytes;
    const json_t *hidden;    /* borrowed: being read; problems show it as it is written. NULL: none */
    json_t *targets_by_name; /* owned: name -> index in snapshot->targets */
    char **target_pointers;  /* owned: where the endpoints of each target stand, by target index */
    int failure;             /* 0 or -ENOMEM */
};

/* Adds a problem: at the value; at the key before it. */
void reader_problem(struct reader *reader, const struct place *at, const char *format, ...) PRINTF_LIKE(3, 4);
void reader_problem_key(struct reader *reader, const struct place *at, const char *format, ...) PRINTF_LIKE(3, 4);
/* "expected EXPECTED, got ..." */
void reader_problem_type(struct reader *reader, const struct place *at, const json_t *value, const char *expected);
/* The same as reader_problem for a pointer kept from reader_pointer. */
void reader_problem_pointer(struct reader *reader, const char *pointer, const char *format, ...) PRINTF_LIKE(3, 4);

/* A file that the value names could not be opened (errno). */
void reader_miss_file(struct reader *reader, const struct place *at, const char *path);

/* The RFC 6901 pointer of a place; the caller owns it. NULL when out of memory, which is remembered. */
char *reader_pointer(struct reader *reader, const struct place *at) WARN_UNUSED;

/* Remembers that memory ran out when `pointer` is NULL, and returns it. */
void *reader_memory(struct reader *reader, void *pointer);

/* Zeroed memory for the elements of a JSON array, of `size` bytes each; NULL, with a problem, when the value is not
 * an array with at least one. `expected` describes it. The caller owns it. */
void *reader_array(struct reader *reader, const struct place *at, const json_t *value, size_t size,
                   const char *expected, size_t *ret_n) WARN_UNUSED;
/* Once all are there. */
void reader_sort_expanded(struct reader *reader);
/* What was expanded in this string; NULL: nothing. */
const struct expanded *reader_expanded(const struct reader *reader, const json_t *string);
/* From now on problems show this string as the file has it: what its variables hold may be a secret. Returns whether
 * some stand in it. */
bool reader_hide(struct reader *reader, const json_t *string);
/* It became this text, template or pattern of the snapshot, which nobody is shown either. */
void reader_note_written(struct reader *reader, const json_t *string, const void *value);
/* Whether it is a template (proxy/http/template.h). */
bool reader_is_late(const struct reader *reader, const json_t *string);
/* The text of a string, which lives as long as the tree; NULL, with a problem, when it is something else, or a
 * template. */
const char *reader_text(struct reader *reader, const struct place *at, const json_t *value, const char *expected);
/* A copy, into a field that owns it. */
void reader_copy(struct reader *reader, const char *text, char **field);
/* What the file says there: the same number where it says the same, in whatever order of keys. Goes on from `seed`.
 * Want of memory is remembered. */
uint64_t reader_digest(struct reader *reader, const json_t *value, uint64_t seed);
/* True, once, for each `name`; else false with a problem. `seen` is a JSON object. */
bool reader_unique(struct reader *reader, const struct place *at, json_t *seen, const char *name, const char *what);

#endif
