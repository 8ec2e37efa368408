/* An access log that writes into a pipe, and what it may be told. */
#ifndef PORTHOLE_TESTS_ACCESS_LOG_RIG_H
#define PORTHOLE_TESTS_ACCESS_LOG_RIG_H

#include <stddef.h>

#include "proxy/report/access_log.h"

#define PIPE_END_BYTES (4u << 20)

/* A pipe whose reading end is the test's. */
struct pipe_end {
    int fd;
    char path[64]; /* of the writing end */
    int write_fd;
    char *data; /* what pipe_end_read returned */
};

/* cmocka's; *state is a struct pipe_end. */
int pipe_end_setup(void **state);
int pipe_end_teardown(void **state);
#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, pipe_end_setup, pipe_end_teardown)

/* Appends what is there to the first n bytes of its data. How many there are then. */
size_t pipe_end_read(struct pipe_end *end, size_t n);

struct record record_example(void);
/* There must be one. */
struct access_log *pipe_end_log(const char *path, enum log_format format);

#endif
