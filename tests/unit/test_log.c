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

/* The sum of what the log says has been dropped. */
static uint64_t confessed(const char *lines)
{
    static const char words[] = " log lines were dropped dropped_lines=";
    uint64_t n = 0;

    for (const char *at = lines; (at = strstr(at, words));) {
        at += strlen(words);
        n += strtoull(at, NULL, 10);
    }
    return n;
}

static void test_log_full_pipe_drops_lines_and_tells_how_many(void **state)
{
    uint64_t before = log_dropped(), n_confessed, n_written = 0;
    const char *rest;

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    while (log_dropped() < before + 3) {
        log_info("%0999d", 0);
        n_written++;
        assert_true(n_written < 10000);
    }
    n_confessed = confessed(take_written()); /* a small line may still find room */
    log_info("room again");
    assert_int_equal(log_dropped() - before, 3);
    rest = take_written();
    n_confessed += confessed(rest);
    assert_int_equal(n_confessed, 3);
    assert_non_null(strstr(rest, " info room again\n"));
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
        if (strstr(line, "dropped"))
            continue;
        n_lines++;
        assert_int_equal(strlen(line), TIME_LENGTH + strlen(" info ") + 301);
    }
    assert_int_equal((uint64_t)n_lines + log_dropped() - before, 200);
}

static void test_log_event_has_fields_where_they_belong(void **state)
{
    const char *line;

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    LOG_EVENT(LOG_LEVEL_WARN, "gone", LOG_TEXT("target", text_of("a\"pp")), LOG_TEXT("reason", text_of(NULL)),
              LOG_NUMBER("status", 503));
    line = take_written();
    assert_string_equal(line + 9 + TIME_LENGTH,
                        "\",\"level\":\"warn\",\"message\":\"gone\",\"target\":\"a\\\"pp\",\"status\":503}\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
    LOG_EVENT(LOG_LEVEL_INFO, "peer\tgone", LOG_TEXT("target", text_of("a\npp")));
    assert_string_equal(take_written() + TIME_LENGTH, " info peer\\x09gone target=\"a\\u000app\"\n");
    LOG_EVENT(LOG_LEVEL_DEBUG, "hidden", LOG_NUMBER("n", 1));
    assert_string_equal(take_written(), "");
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
        cmocka_unit_test(test_log_event_has_fields_where_they_belong),
        cmocka_unit_test(test_log_lines_of_threads_do_not_mix),
    };

    return cmocka_run_group_tests(tests, redirect_log, NULL);
}
