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
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/access_log_rig.h"
#include "tests/unit/publish_fixture.h"

/* The only line of a log with this entry. */
static const char *line_of(struct pipe_end *end, enum log_format format, const struct record *entry)
{
    struct access_log *log = pipe_end_log(end->path, format);
    size_t n;

    access_log_add(log, entry);
    access_log_free(log);
    n = pipe_end_read(end, 0);
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
    struct record entry = record_example();

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
    struct record entry = record_example();
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
    struct record entry = record_example();
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
    struct record entry = record_example();
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
    struct access_log *log = pipe_end_log(end->path, LOG_FORMAT_JSON);
    struct record entry = record_example();
    uint64_t n_lines = 0, n_dropped = 0;
    size_t n;

    for (int i = 0; i < 5000; i++)
        access_log_add(log, &entry);
    assert_true(log->n_dropped > 0);
    n = pipe_end_read(end, 0);
    for (int i = 0; i < 10; i++) {
        access_log_flush(log);
        n = pipe_end_read(end, n);
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
    struct access_log *log = pipe_end_log(end->path, LOG_FORMAT_PLAIN);
    struct record entry = record_example();

    for (int i = 0; i < 5000; i++)
        access_log_add(log, &entry);
    pipe_end_read(end, 0);
    fcntl(end->write_fd, F_SETPIPE_SZ, 1 << 20); /* room for all that is left */
    access_log_free(log);
    pipe_end_read(end, 0);
    assert_non_null(strstr(end->data, "dropped_lines="));
}

/* The writers of two workers share a pipe: what one could not finish, the other must not break into. */
static void test_access_log_two_writers_keep_their_lines_whole(void **state)
{
    struct pipe_end *end = *state;
    struct access_log *logs[2] = {pipe_end_log(end->path, LOG_FORMAT_JSON), pipe_end_log(end->path, LOG_FORMAT_JSON)};
    struct record entry = record_example();
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
        n = pipe_end_read(end, n);
        access_log_flush(logs[i % 2]);
    }
    pipe_end_read(end, n);
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
    struct timeval patience = {.tv_sec = 20};
    struct record entry = record_example();
    struct access_log *log;
    uint64_t longest_us = 0;
    int ends[2], saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    /* Instead of blocking for ever, for the sake of the test. */
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    fflush(stdout);
    assert_int_equal(dup2(ends[0], STDOUT_FILENO), STDOUT_FILENO);
    log = pipe_end_log("stdout", LOG_FORMAT_PLAIN);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    for (int i = 0; i < 3000 && longest_us < 10000000; i++) {
        struct instant begun = instant_now();
        uint64_t us;

        access_log_add(log, &entry);
        us = instant_elapsed_us(begun, instant_now());
        longest_us = us > longest_us ? us : longest_us;
    }
    assert_true(longest_us < 10000000);
    assert_true(log->n_dropped > 0);
    close(ends[1]);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    access_log_free(log);
}

static void test_access_log_file_is_appended_to(void **state)
{
    struct record entry = record_example();
    char path[] = "/tmp/porthole-unit-log-XXXXXX";
    int fd = mkstemp(path);
    off_t once;

    (void)state;
    for (int i = 1; i <= 2; i++) {
        struct access_log *log = pipe_end_log(path, LOG_FORMAT_PLAIN);

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
    struct access_log *log = pipe_end_log(end->path, LOG_FORMAT_PLAIN);
    struct record entry = record_example();

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
    struct record entry = record_example();
    char path[] = "/tmp/porthole-unit-log-XXXXXX";
    int fd = mkstemp(path);
    struct access_log *log = pipe_end_log(path, LOG_FORMAT_JSON);
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
    n = pread(fd, end->data, PIPE_END_BYTES - 1, 0);
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
    struct record entry = record_example();
    char id[256];
    json_t *json;

    memset(id, '"', sizeof(id));
    entry.request_id = (struct text){id, sizeof(id)};
    json = json_of(*state, &entry);
    assert_int_equal(json_string_length(json_object_get(json, "id")), sizeof(id));
    json_decref(json);
}

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
