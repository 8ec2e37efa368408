#include "tests/unit/access_log_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

int pipe_end_setup(void **state)
{
    struct pipe_end *end = calloc(1, sizeof(*end));
    int fds[2];

    assert_non_null(end);
    end->data = malloc(PIPE_END_BYTES);
    assert_non_null(end->data);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    end->fd = fds[0];
    end->write_fd = fds[1];
    snprintf(end->path, sizeof(end->path), "/proc/self/fd/%d", end->write_fd);
    *state = end;
    return 0;
}

int pipe_end_teardown(void **state)
{
    struct pipe_end *end = *state;

    close(end->fd);
    close(end->write_fd);
    free(end->data);
    free(end);
    return 0;
}

size_t pipe_end_read(struct pipe_end *end, size_t n)
{
    ssize_t r;

    while ((r = read(end->fd, end->data + n, PIPE_END_BYTES - 1 - n)) > 0)
        n += (size_t)r;
    end->data[n] = '\0';
    return n;
}

struct record record_example(void)
{
    return (struct record){.time = {UINT64_C(1700000000123456789)},
                           .request_id = TEXT_LITERAL("id-1"),
                           .method = TEXT_LITERAL("GET"),
                           .target = TEXT_LITERAL("/a?b"),
                           .listener = TEXT_LITERAL("front"),
                           .route = TEXT_LITERAL("front#1"),
                           .upstream = TEXT_LITERAL("app"),
                           .endpoint = TEXT_LITERAL("unix:/run/app.sock"),
                           .peer = TEXT_LITERAL("unix:uid=7,gid=8"),
                           .status = 200,
                           .outcome = OUTCOME_FORWARDED,
                           .received_bytes = 5,
                           .sent_bytes = 77,
                           .total_us = 1234,
                           .connect_us = 0,
                           .first_byte_us = 99};
}

struct access_log *pipe_end_log(const char *path, enum log_format format)
{
    struct error error = ERROR_INIT;
    struct access_log *log = access_log_new(path, format, NULL, &error);

    if (!log)
        fail_msg("%s", error.message);
    return log;
}
