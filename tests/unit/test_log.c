#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/log.h"

#define TIME_LENGTH strlen("2026-11-23T15:04:05.123Z")

/* What the log wrote since the last look; the log's output is a pipe from group setup on. */
static int log_reader = -1;
static char written[1 << 17];

static const char *take_written(void)
{
    size_t used = 0;
    ssize_t n;

    while ((n = read(log_reader, written + used, sizeof(written) - 1 - used)) > 0)
        used += (size_t)n;
    written[used] = '\0';
    return written;
}

static int redirect_log(void **state)
{
    int real_stderr = dup(STDERR_FILENO);
    int ends[2];

    (void)state;
    if (real_stderr < 0 || pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return -1;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    if (dup2(real_stderr, STDERR_FILENO) < 0)
        return -1;
    close(real_stderr);
    close(ends[1]);
    log_reader = ends[0];
    return fcntl(log_reader, F_SETFL, O_NONBLOCK);
}

static void assert_time(const char *s)
{
    const char *pattern = "dddd-dd-ddTdd:dd:dd.dddZ";

    for (size_t i = 0; i < TIME_LENGTH; i++) {
        if (pattern[i] == 'd')
            assert_in_range(s[i], '0', '9');
        else
            assert_int_equal(s[i], pattern[i]);
    }
}

static void test_log_plain_line_has_time_level_and_message(void **state)
{
    const char *line;

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    errno = EPIPE;
    log_warn("target %s is gone", "\"app\"");
    assert_int_equal(errno, EPIPE);
    line = take_written();
    assert_time(line);
    assert_string_equal(line + TIME_LENGTH, " warn target \"app\" is gone\n");
}

static void test_log_json_line_has_time_level_and_message(void **state)
{
    const char *line;

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_error("a \"quoted\"\tword \\ \xc3\xa9");
    line = take_written();
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_time(line + 9);
    assert_string_equal(line + 9 + TIME_LENGTH, "\",\"level\":\"error\",\"message\":"
                                                "\"a \\\"quoted\\\"\\u0009word \\\\ \xc3\xa9\"}\n");
}

static void test_log_level_decides_what_is_written(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_PLAIN);
    log_info("hidden");
    log_debug("hidden");
    assert_false(log_wants(LOG_LEVEL_INFO));
    assert_string_equal(take_written(), "");
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_PLAIN);
    log_debug("shown");
    assert_string_equal(take_written() + TIME_LENGTH, " debug shown\n");
}

static void test_log_plain_line_cannot_be_forged(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    log_info("path %s", "/\r\n2026 error \x1b[31m\x7f \xff \xc2\x9b \\x41");
    assert_string_equal(take_written() + TIME_LENGTH,
                        " info path /\\x0d\\x0a2026 error \\x1b[31m\\x7f \\xff \\x9b \\x5cx41\n");
}

static void test_log_message_too_long_is_cut_to_one_whole_line(void **state)
{
    static char longer[8192];
    const char *line;

    (void)state;
    memset(longer, '\1', sizeof(longer) - 1);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("%s", longer);
    line = take_written();
    assert_in_range(strlen(line), 4000, 4096);
    assert_string_equal(line + strlen(line) - strlen("\\u0001\"}\n"), "\\u0001\"}\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    log_info("%s", longer);
    line = take_written();
    assert_in_range(strlen(line), 4000, 4096);
    assert_string_equal(line + strlen(line) - strlen("\\x01\n"), "\\x01\n");
}

static void test_log_full_pipe_drops_lines_and_tells_how_many(void **state)
{
    uint64_t before = log_dropped();
    uint64_t n_written = 0;
    const char *rest;
    char expected[64];

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    while (log_dropped() == before) {
        log_info("%0999d", 0);
        n_written++;
        assert_true(n_written < 10000);
    }
    log_info("dropped too");
    assert_int_equal(log_dropped() - before, 2);
    assert_null(strstr(take_written(), "dropped"));
    log_info("room again");
    assert_int_equal(log_dropped() - before, 2);
    rest = take_written();
    snprintf(expected, sizeof(expected), " warn %d log lines were dropped\n", 2);
    assert_memory_equal(rest + TIME_LENGTH, expected, strlen(expected));
    assert_string_equal(rest + TIME_LENGTH + strlen(expected) + TIME_LENGTH, " info room again\n");
    log_info("told once");
    assert_string_equal(take_written() + TIME_LENGTH, " info told once\n");
}

static void *log_many(void *name)
{
    for (int i = 0; i < 100; i++)
        log_info("%s%0300d", (const char *)name, 0);
    return NULL;
}

static void test_log_lines_of_threads_do_not_mix(void **state)
{
    pthread_t threads[2];
    uint64_t before = log_dropped();
    int n_lines = 0;
    char *line;

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    assert_int_equal(pthread_create(&threads[0], NULL, log_many, (void *)"a"), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, log_many, (void *)"b"), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    take_written();
    for (char *s = written, *rest; (line = strtok_r(s, "\n", &rest)); s = NULL) {
        n_lines++;
        assert_int_equal(strlen(line), TIME_LENGTH + strlen(" info ") + 301);
    }
    assert_int_equal((uint64_t)n_lines + log_dropped() - before, 200);
}

static void assert_escaped(const char *s, size_t n, const char *expected)
{
    char out[128];

    assert_int_equal(log_escape(out, sizeof(out), s, n), strlen(expected));
    assert_string_equal(out, expected);
}

static void test_log_escape_lets_only_valid_text_through(void **state)
{
    (void)state;
    assert_escaped("", 0, "");
    assert_escaped("a\0b", 3, "a\\u0000b");
    assert_escaped("\"\\/", 3, "\\\"\\\\/");
    assert_escaped("\xe2\x82\xac \xf0\x9f\x98\x80", 8, "\xe2\x82\xac \xf0\x9f\x98\x80");
    assert_escaped("\xe2\x82", 2, "\\u00e2\\u0082");                       /* cut short */
    assert_escaped("\xc0\x80", 2, "\\u00c0\\u0080");                       /* overlong */
    assert_escaped("\xed\xa0\x80", 3, "\\u00ed\\u00a0\\u0080");            /* surrogate */
    assert_escaped("\xf4\x90\x80\x80", 4, "\\u00f4\\u0090\\u0080\\u0080"); /* above U+10FFFF */
    assert_escaped("\xc2\x85", 2, "\\u0085");                              /* C1 */
}

static void test_log_escape_cuts_at_a_whole_escape(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(log_escape(out, sizeof(out), "a\1b", 3), 7);
    assert_string_equal(out, "a\\u0001");
    assert_int_equal(log_escape(out, sizeof(out), "ab\1", 3), 2);
    assert_string_equal(out, "ab");
    assert_int_equal(log_escape(out, 4, "a\xe2\x82\xac", 4), 1);
    assert_string_equal(out, "a");
    assert_int_equal(log_escape(out, 1, "a", 1), 0);
    assert_string_equal(out, "");
    assert_int_equal(log_escape(out, 0, "a", 1), 0);
}

static void test_log_output_is_non_blocking_for_us_alone(void **state)
{
    int ends[2];
    int fd;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    fd = log_open_output(ends[1]);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(log_open_output(ends[1]), -EBADF);
}

/* A socket has no second description: what is written must not block even so. */
static void test_log_output_to_a_full_socket_says_try_again(void **state)
{
    char line[1000];
    int ends[2];
    int n = 0;
    int fd;
    int r;

    (void)state;
    memset(line, 'x', sizeof(line));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fd = log_open_output(ends[1]);
    assert_true(fd >= 0);
    while ((r = log_write_output(fd, line, sizeof(line))) == 0)
        assert_true(++n < 100000);
    assert_int_equal(r, -EAGAIN);
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    close(fd);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_plain_line_has_time_level_and_message),
        cmocka_unit_test(test_log_json_line_has_time_level_and_message),
        cmocka_unit_test(test_log_level_decides_what_is_written),
        cmocka_unit_test(test_log_plain_line_cannot_be_forged),
        cmocka_unit_test(test_log_message_too_long_is_cut_to_one_whole_line),
        cmocka_unit_test(test_log_full_pipe_drops_lines_and_tells_how_many),
        cmocka_unit_test(test_log_lines_of_threads_do_not_mix),
        cmocka_unit_test(test_log_escape_lets_only_valid_text_through),
        cmocka_unit_test(test_log_escape_cuts_at_a_whole_escape),
        cmocka_unit_test(test_log_output_is_non_blocking_for_us_alone),
        cmocka_unit_test(test_log_output_to_a_full_socket_says_try_again),
    };

    return cmocka_run_group_tests(tests, redirect_log, NULL);
}
