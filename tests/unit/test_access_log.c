/* The access log: what a line says, that nothing a peer sends can forge one, and a reader that does not read. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/report/access_log.h"
#include "tests/unit/publish_fixture.h"

#define MOST_READ (4u << 20)

/* A pipe whose reading end is the test's. */
struct pipe_end {
    int fd;
    char path[64]; /* of the writing end */
    int write_fd;
    char *data; /* what pipe_read returned */
};

static int pipe_setup(void **state)
{
    struct pipe_end *end = calloc(1, sizeof(*end));
    int fds[2];

    assert_non_null(end);
    end->data = malloc(MOST_READ);
    assert_non_null(end->data);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    end->fd = fds[0];
    end->write_fd = fds[1];
    snprintf(end->path, sizeof(end->path), "/proc/self/fd/%d", end->write_fd);
    *state = end;
    return 0;
}

static int pipe_teardown(void **state)
{
    struct pipe_end *end = *state;

    close(end->fd);
    close(end->write_fd);
    free(end->data);
    free(end);
    return 0;
}

/* Appends what is there. */
static size_t pipe_read(struct pipe_end *end, size_t n)
{
    ssize_t r;

    while ((r = read(end->fd, end->data + n, MOST_READ - 1 - n)) > 0)
        n += (size_t)r;
    end->data[n] = '\0';
    return n;
}

static struct record entry_example(void)
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

static struct access_log *log_open(const char *path, enum log_format format)
{
    struct error error = ERROR_INIT;
    struct access_log *log = access_log_new(path, format, NULL, &error);

    if (!log)
        fail_msg("%s", error.message);
    return log;
}

/* The only line of a log with this entry. */
static const char *line_of(struct pipe_end *end, enum log_format format, const struct record *entry)
{
    struct access_log *log = log_open(end->path, format);
    size_t n;

    access_log_add(log, entry);
    access_log_free(log);
    n = pipe_read(end, 0);
    assert_true(n > 0);
    assert_ptr_equal(strchr(end->data, '\n'), end->data + n - 1);
    return end->data;
}

static json_t *json_of(struct pipe_end *end, const struct record *entry)
{
    json_error_t error;
    json_t *json = json_loads(line_of(end, LOG_FORMAT_JSON, entry), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    if (!json)
        fail_msg("%s in %s", error.text, end->data);
    return json;
}

static void test_access_log_plain_line(void **state)
{
    struct record entry = entry_example();

    entry.sent_bytes = UINT64_MAX;
    assert_string_equal(
        line_of(*state, LOG_FORMAT_PLAIN, &entry),
        "2023-11-14T22:13:20.123Z id=\"id-1\" listener=\"front\" peer=\"unix:uid=7,gid=8\" method=\"GET\" "
        "request=\"/a?b\" status=200 outcome=\"forwarded\" route=\"front#1\" target=\"app\" "
        "endpoint=\"unix:/run/app.sock\" bytes_in=5 "
        "bytes_out=18446744073709551615 total_us=1234 connect_us=0 first_byte_us=99\n");
}

static void test_access_log_json_line(void **state)
{
    struct record entry = entry_example();
    json_t *json;

    entry.reason = "because";
    json = json_of(*state, &entry);
    assert_string_equal(json_string_value(json_object_get(json, "time")), "2023-11-14T22:13:20.123Z");
    assert_string_equal(json_string_value(json_object_get(json, "id")), "id-1");
    assert_string_equal(json_string_value(json_object_get(json, "outcome")), "forwarded");
    assert_string_equal(json_string_value(json_object_get(json, "target")), "app");
    assert_string_equal(json_string_value(json_object_get(json, "request")), "/a?b");
    assert_string_equal(json_string_value(json_object_get(json, "peer")), "unix:uid=7,gid=8");
    assert_string_equal(json_string_value(json_object_get(json, "reason")), "because");
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(json, "bytes_out")), 77);
    assert_int_equal(json_integer_value(json_object_get(json, "total_us")), 1234);
    json_decref(json);
}

static void test_access_log_leaves_out_what_was_not_reached(void **state)
{
    struct record entry = {.outcome = OUTCOME_MALFORMED, .connect_us = -1, .first_byte_us = -1};
    json_t *json = json_of(*state, &entry);

    assert_null(json_object_get(json, "connect_us"));
    assert_null(json_object_get(json, "first_byte_us"));
    assert_null(json_object_get(json, "route"));
    assert_null(json_object_get(json, "target"));
    assert_null(json_object_get(json, "reason"));
    assert_string_equal(json_string_value(json_object_get(json, "request")), "");
    json_decref(json);
}

static void test_access_log_every_byte_is_escaped(void **state)
{
    struct record entry = entry_example();
    char bytes[256];
    json_t *json;
    const char *line;

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    entry.target = (struct text){bytes, sizeof(bytes)};
    entry.listener = TEXT_LITERAL("\" outcome=\"forwarded\"\nforged=\"1");
    json = json_of(*state, &entry);
    assert_string_equal(json_string_value(json_object_get(json, "listener")), "\" outcome=\"forwarded\"\nforged=\"1");
    json_decref(json);
    line = line_of(*state, LOG_FORMAT_PLAIN, &entry);
    for (const char *at = line; at[1]; at++)
        assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
    assert_null(strstr(line, "\nforged"));
    assert_non_null(strstr(line, "\\\" outcome=\\\"forwarded\\\""));
}

/* Cut inside an escape, a character of several bytes, or anything else, a line is still a line. */
static void test_access_log_long_texts_are_cut_to_valid_json(void **state)
{
    static const char *const units[] = {"x",   "\x01", "\"", "\\", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "\xff"};
    struct record entry = entry_example();
    char *text = malloc(20000);

    assert_non_null(text);
    for (size_t unit = 0; unit < ARRAY_LENGTH(units); unit++) {
        for (size_t shift = 0; shift < 8; shift++) {
            size_t length = shift;
            json_t *json;

            memset(text, 'a', shift);
            for (; length + 4 < 20000; length += strlen(units[unit]))
                memcpy(text + length, units[unit], strlen(units[unit]));
            entry.request_id = entry.method = entry.target = entry.listener = entry.route = entry.upstream =
                entry.peer = entry.upgrade = (struct text){text, length};
            json = json_of(*state, &entry);
            assert_int_equal(json_integer_value(json_object_get(json, "first_byte_us")), 99);
            assert_true(json_string_length(json_object_get(json, "request")) > 150);
            json_decref(json);
        }
    }
    free(text);
}

static void test_access_log_blocked_reader_drops_and_confesses(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *log = log_open(end->path, LOG_FORMAT_JSON);
    struct record entry = entry_example();
    uint64_t n_lines = 0, n_dropped = 0;
    size_t n;

    for (int i = 0; i < 5000; i++)
        access_log_add(log, &entry);
    assert_true(log->n_dropped > 0);
    n = pipe_read(end, 0);
    for (int i = 0; i < 10; i++) {
        access_log_flush(log);
        n = pipe_read(end, n);
    }
    for (char *line = strtok(end->data, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);

        if (!json)
            fail_msg("not a line: %s", line);
        if (json_object_get(json, "dropped_lines"))
            n_dropped += (uint64_t)json_integer_value(json_object_get(json, "dropped_lines"));
        else
            n_lines++;
        json_decref(json);
    }
    assert_true(n_dropped > 0);
    assert_int_equal(n_lines + n_dropped, 5000);
    access_log_free(log);
}

static void test_access_log_confesses_at_the_end(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *log = log_open(end->path, LOG_FORMAT_PLAIN);
    struct record entry = entry_example();

    for (int i = 0; i < 5000; i++)
        access_log_add(log, &entry);
    pipe_read(end, 0);
    fcntl(end->write_fd, F_SETPIPE_SZ, 1 << 20); /* room for all that is left */
    access_log_free(log);
    pipe_read(end, 0);
    assert_non_null(strstr(end->data, "dropped_lines="));
}

/* The writers of two workers share a pipe: what one could not finish, the other must not break into. */
static void test_access_log_two_writers_keep_their_lines_whole(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *logs[2] = {log_open(end->path, LOG_FORMAT_JSON), log_open(end->path, LOG_FORMAT_JSON)};
    struct record entry = entry_example();
    size_t n = 0;
    ssize_t r;

    for (int i = 0; i < 60; i++) {
        for (int j = 0; j < 20; j++)
            access_log_add(logs[i % 2], &entry);
        access_log_flush(logs[i % 2]);
        r = i < 10 ? 0 : read(end->fd, end->data + n, 3000); /* room, but seldom enough */
        n += r > 0 ? (size_t)r : 0;
    }
    for (int i = 0; i < 10; i++) {
        n = pipe_read(end, n);
        access_log_flush(logs[i % 2]);
    }
    pipe_read(end, n);
    for (char *line = strtok(end->data, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);

        if (!json)
            fail_msg("not a line: %s", line);
        json_decref(json);
    }
    access_log_free(logs[0]);
    access_log_free(logs[1]);
}

/* A socket as standard output (journald, docker attach) cannot be opened anew, so its description is shared and blocks.
 */
static void test_access_log_socket_that_nobody_reads_does_not_block(void **state)
{
    struct timeval patience = {.tv_sec = 2};
    struct record entry = entry_example();
    struct access_log *log;
    struct instant begun;
    int ends[2], saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    /* Instead of blocking for ever, for the sake of the test. */
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    fflush(stdout);
    assert_int_equal(dup2(ends[0], STDOUT_FILENO), STDOUT_FILENO);
    log = log_open("stdout", LOG_FORMAT_PLAIN);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    begun = instant_now();
    for (int i = 0; i < 3000 && instant_elapsed_us(begun, instant_now()) < 1500000; i++)
        access_log_add(log, &entry);
    assert_true(instant_elapsed_us(begun, instant_now()) < 1500000);
    assert_true(log->n_dropped > 0);
    close(ends[1]);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    access_log_free(log);
}

static void test_access_log_file_is_appended_to(void **state)
{
    struct record entry = entry_example();
    char path[] = "/tmp/porthole-unit-log-XXXXXX";
    int fd = mkstemp(path);
    off_t once;

    (void)state;
    for (int i = 1; i <= 2; i++) {
        struct access_log *log = log_open(path, LOG_FORMAT_PLAIN);

        access_log_add(log, &entry);
        access_log_flush(log);
        access_log_flush(log);
        access_log_free(log);
        if (i == 1)
            once = lseek(fd, 0, SEEK_END);
    }
    assert_int_equal(lseek(fd, 0, SEEK_END), 2 * once);
    close(fd);
    unlink(path);
}

static void test_access_log_that_cannot_be_opened_says_so(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    assert_null(access_log_new("/nonexistent/log", LOG_FORMAT_PLAIN, NULL, &error));
    assert_int_equal(error.code, -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent/log"));
    access_log_free(NULL);
}

static void test_access_log_reader_that_left_is_survived(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *log = log_open(end->path, LOG_FORMAT_PLAIN);
    struct record entry = entry_example();

    signal(SIGPIPE, SIG_IGN); /* as the server does */
    close(end->fd);
    end->fd = -1;
    for (int i = 0; i < 1000; i++)
        access_log_add(log, &entry);
    access_log_flush(log);
    assert_true(log->n_dropped > 0);
    access_log_free(log);
}

/* A limit on the size of files behaves like a full disk. */
static void test_access_log_full_disk_loses_lines_and_says_how_many(void **state)
{
    struct pipe_end *end = *state;
    struct record entry = entry_example();
    char path[] = "/tmp/porthole-unit-log-XXXXXX";
    int fd = mkstemp(path);
    struct access_log *log = log_open(path, LOG_FORMAT_JSON);
    struct rlimit room, before;
    uint64_t n_lines = 0, n_dropped = 0, n_torn = 0;
    ssize_t n;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    room = (struct rlimit){10000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
    for (int i = 0; i < 1000; i++)
        access_log_add(log, &entry);
    assert_true(log->n_dropped > 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    access_log_free(log);
    n = pread(fd, end->data, MOST_READ - 1, 0);
    assert_true(n > 0);
    end->data[n] = '\0';
    for (char *line = strtok(end->data, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);

        if (!json)
            n_torn++;
        else if (json_object_get(json, "dropped_lines"))
            n_dropped += (uint64_t)json_integer_value(json_object_get(json, "dropped_lines"));
        else
            n_lines++;
        json_decref(json);
    }
    assert_true(n_dropped > 0);
    assert_true(n_torn <= 1); /* told again in the next line */
    assert_int_equal(n_lines + n_dropped, 1000);
    close(fd);
    unlink(path);
}

static void test_access_log_long_id_is_shown_whole(void **state)
{
    struct record entry = entry_example();
    char id[256];
    json_t *json;

    memset(id, '"', sizeof(id));
    entry.request_id = (struct text){id, sizeof(id)};
    json = json_of(*state, &entry);
    assert_int_equal(json_string_length(json_object_get(json, "id")), sizeof(id));
    json_decref(json);
}

/* ---- what is worth a line ---- */

static void test_access_log_wants_every_outcome(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *log = log_open(end->path, LOG_FORMAT_PLAIN);

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    for (int i = 0; i < N_OUTCOMES; i++) {
        struct record entry = entry_example();
        char name[64];

        assert_true(access_log_wants(log, (enum outcome)i, 0));
        entry.outcome = (enum outcome)i;
        access_log_report(log, &entry);
        access_log_flush(log);
        pipe_read(end, 0);
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
    struct record entry = entry_example();

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
    struct access_log *log = log_open(end->path, LOG_FORMAT_JSON);

    check_failures(log);
    access_log_free(log);
}

/* With "json" each of its lines is an object whose members are those of the access log. */
static void test_access_log_failure_in_json_has_fields(void **state)
{
    struct record entry = entry_example();
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

#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, pipe_setup, pipe_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PIPE_TEST(test_access_log_plain_line),
        PIPE_TEST(test_access_log_json_line),
        PIPE_TEST(test_access_log_leaves_out_what_was_not_reached),
        PIPE_TEST(test_access_log_every_byte_is_escaped),
        PIPE_TEST(test_access_log_long_texts_are_cut_to_valid_json),
        PIPE_TEST(test_access_log_blocked_reader_drops_and_confesses),
        PIPE_TEST(test_access_log_confesses_at_the_end),
        PIPE_TEST(test_access_log_two_writers_keep_their_lines_whole),
        cmocka_unit_test(test_access_log_socket_that_nobody_reads_does_not_block),
        cmocka_unit_test(test_access_log_file_is_appended_to),
        cmocka_unit_test(test_access_log_that_cannot_be_opened_says_so),
        PIPE_TEST(test_access_log_reader_that_left_is_survived),
        PIPE_TEST(test_access_log_full_disk_loses_lines_and_says_how_many),
        PIPE_TEST(test_access_log_long_id_is_shown_whole),
        PIPE_TEST(test_access_log_wants_every_outcome),
        cmocka_unit_test(test_access_log_that_is_off_leaves_failures_to_the_error_log),
        PIPE_TEST(test_access_log_that_is_on_leaves_failures_in_the_error_log),
        cmocka_unit_test(test_access_log_failure_in_json_has_fields),
        cmocka_unit_test(test_access_log_that_is_off_takes_an_entry_without_texts),
    };

    return cmocka_run_group_tests(tests, redirect_error_log, NULL);
}
