/* Which ends are worth a line, of the access log and of the error log. */
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/access_log_rig.h"

static void test_access_log_wants_every_outcome(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *log = pipe_end_log(end->path, LOG_FORMAT_PLAIN);

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    for (int i = 0; i < N_OUTCOMES; i++) {
        struct record entry = record_example();
        char name[64];

        assert_true(access_log_wants(log, (enum outcome)i, 0));
        entry.outcome = (enum outcome)i;
        access_log_report(log, &entry);
        access_log_flush(log);
        pipe_end_read(end, 0);
        snprintf(name, sizeof(name), " outcome=\"%s\" ", outcome_info(entry.outcome)->name);
        assert_non_null(strstr(end->data, name));
    }
    access_log_free(log);
}

/* The error log's output is a pipe from group setup on. */
static int error_log_fd = -1;

static int redirect_error_log(void **state)
{
    int real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int ends[2];

    (void)state;
    if (real_stderr < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return -1;
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN); /* opens a descriptor of its own */
    if (dup2(real_stderr, STDERR_FILENO) < 0)
        return -1;
    close(real_stderr);
    close(ends[1]);
    error_log_fd = ends[0];
    return 0;
}

/* What a report writes to the error log. */
static const char *error_log_of(struct access_log *log, enum log_level level, const struct record *entry)
{
    static char written[8192];
    ssize_t n;

    while (read(error_log_fd, written, sizeof(written)) > 0)
        ; /* of other tests */
    log_configure(level, LOG_FORMAT_PLAIN);
    access_log_report(log, entry);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    n = read(error_log_fd, written, sizeof(written) - 1);
    written[n > 0 ? n : 0] = '\0';
    return written;
}

/* The error log tells of what failed, whether or not there is an access log. */
static void check_failures(struct access_log *log)
{
    static const char *const levels[] = {[FAULT_NONE] = NULL,
                                         [FAULT_CLIENT] = " info ",
                                         [FAULT_RULES] = " warn ",
                                         [FAULT_TARGET] = " warn ",
                                         [FAULT_SELF] = " error "};
    struct record entry = record_example();

    for (int i = 0; i < N_OUTCOMES; i++) {
        const struct outcome_info *info = outcome_info((enum outcome)i);
        bool told = info->fault != FAULT_NONE, told_at_warn = told && info->fault != FAULT_CLIENT;
        const char *line;

        entry.outcome = (enum outcome)i;
        line = error_log_of(log, LOG_LEVEL_INFO, &entry);
        assert_int_equal(*line != '\0', told);
        if (told) {
            assert_non_null(strstr(line, i == OUTCOME_STOPPED ? " warn " : levels[info->fault]));
            assert_non_null(strstr(line, info->sentence));
            assert_non_null(strstr(line, info->name));
            assert_non_null(strstr(line, " id=\"id-1\" listener=\"front\" "));
            assert_non_null(strstr(line, " endpoint=\"unix:/run/app.sock\" "));
        }
        assert_int_equal(*error_log_of(log, LOG_LEVEL_WARN, &entry) != '\0', told_at_warn);
        log_configure(LOG_LEVEL_WARN, LOG_FORMAT_PLAIN);
        assert_int_equal(access_log_wants(log, entry.outcome, 0), log || told_at_warn);
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN);
        assert_int_equal(access_log_wants(log, entry.outcome, 0), log || told);
    }
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
}

static void test_access_log_that_is_off_leaves_failures_to_the_error_log(void **state)
{
    (void)state;
    check_failures(NULL);
}

static void test_access_log_that_is_on_leaves_failures_in_the_error_log(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *log = pipe_end_log(end->path, LOG_FORMAT_JSON);

    check_failures(log);
    access_log_free(log);
}

/* With "json" each of its lines is an object whose members are those of the access log. */
static void test_access_log_failure_in_json_has_fields(void **state)
{
    struct record entry = record_example();
    char line[8192];
    json_t *json;
    ssize_t n;

    (void)state;
    entry.outcome = OUTCOME_TARGET_REFUSED;
    entry.reason = "Connection refused";
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    access_log_report(NULL, &entry);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    n = read(error_log_fd, line, sizeof(line));
    assert_true(n > 0);
    json = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(json, "message")),
                        outcome_info(OUTCOME_TARGET_REFUSED)->sentence);
    assert_string_equal(json_string_value(json_object_get(json, "outcome")), "target_refused");
    assert_string_equal(json_string_value(json_object_get(json, "reason")), "Connection refused");
    assert_string_equal(json_string_value(json_object_get(json, "endpoint")), "unix:/run/app.sock");
    assert_string_equal(json_string_value(json_object_get(json, "request")), "/a?b");
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 200);
    json_decref(json);
}

/* A stream's entry has no method, no request and no route. */
static void test_access_log_that_is_off_takes_an_entry_without_texts(void **state)
{
    struct record entry = {.outcome = OUTCOME_TARGET_RESET, .connect_us = -1, .first_byte_us = -1};

    (void)state;
    assert_non_null(strstr(error_log_of(NULL, LOG_LEVEL_WARN, &entry), "target_reset"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PIPE_TEST(test_access_log_wants_every_outcome),
        cmocka_unit_test(test_access_log_that_is_off_leaves_failures_to_the_error_log),
        PIPE_TEST(test_access_log_that_is_on_leaves_failures_in_the_error_log),
        cmocka_unit_test(test_access_log_failure_in_json_has_fields),
        cmocka_unit_test(test_access_log_that_is_off_takes_an_entry_without_texts),
    };

    return cmocka_run_group_tests(tests, redirect_error_log, NULL);
}
