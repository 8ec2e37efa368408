/* Records: every end is counted once, has one line in the access log, and says what was really sent. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/client_rig.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"

static char lines[65536];

static void log_path(const struct front *front, char *path, size_t size)
{
    snprintf(path, size, "%s/log", front->rig->directory);
}

static int logged_setup(void **state)
{
    struct error error = ERROR_INIT;
    struct front *front;
    char path[128];

    if (front_setup(state))
        return -1;
    front = *state;
    log_path(front, path, sizeof(path));
    front->rig->env.recorder.access_log = access_log_new(path, LOG_FORMAT_PLAIN, NULL, &error);
    return front->rig->env.recorder.access_log ? 0 : -1;
}

static int logged_teardown(void **state)
{
    struct front *front = *state;
    struct access_log *log = front->rig->env.recorder.access_log;
    char path[128];

    /* Who is cut by the teardown is not logged any more. */
    frontend_free(front->frontend);
    front->frontend = NULL;
    tunnels_cut_all(&front->rig->env.tunnels);
    front->rig->env.recorder.access_log = NULL;
    access_log_free(log);
    log_path(front, path, sizeof(path));
    unlink(path);
    return front_teardown(state);
}

/* What has been logged since the last look: `n` lines, of which the last one is returned. */
static const char *logged(struct front *front, unsigned n)
{
    char path[128], *line = lines;
    unsigned n_lines = 0;
    ssize_t length;
    int fd;

    access_log_flush(front->rig->env.recorder.access_log);
    log_path(front, path, sizeof(path));
    fd = open(path, O_RDWR | O_CLOEXEC);
    length = read(fd, lines, sizeof(lines) - 1);
    assert_true(length >= 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    lines[length] = '\0';
    for (char *end = strchr(lines, '\n'); end; end = strchr(end + 1, '\n')) {
        if (end[1] != '\0')
            line = end + 1;
        n_lines++;
    }
    if (n_lines != n)
        fail_msg("expected %u lines, got %u: %s", n, n_lines, lines);
    return line;
}

static void expect(const char *line, const char *part)
{
    if (!strstr(line, part))
        fail_msg("no '%s' in %s", part, line);
}

static uint64_t ends_counted(const struct rig *rig)
{
    uint64_t n = 0;

    for (int i = 0; i < N_OUTCOMES; i++)
        n += rig_count(rig, (enum outcome)i);
    return n;
}

/* ---- what was sent ---- */

static void test_record_of_a_respond_says_what_was_sent(void **state)
{
    struct front *front = *state;
    const char *line;

    front->rig->route.action = ROUTE_RESPOND;
    front->rig->route.target = NULL;
    front->rig->route.respond.status = 200;
    front->rig->route.respond.body = "hello";
    front->rig->route.respond.body_length = 5;
    front_open(front);
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello");
    line = logged(front, 1);
    expect(line, " status=200 outcome=\"responded\" ");
    expect(line, " bytes_in=0 bytes_out=5 ");
    assert_int_equal(counter_read(&front->rig->metrics.sent_bytes), 5);
    /* Of what HEAD stands for, nothing is sent. */
    front_say(front, "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(logged(front, 1), " bytes_in=0 bytes_out=0 ");
    assert_int_equal(counter_read(&front->rig->metrics.sent_bytes), 5);
    assert_int_equal(ends_counted(front->rig), 2);
}

static void test_record_of_a_problem_says_what_was_sent(void **state)
{
    struct front *front = *state;
    char part[64];

    rig_stop_listening(front->rig);
    front_open(front);
    front_say(front, GET);
    front_settle(front);
    front_receive(front);
    snprintf(part, sizeof(part), " bytes_in=0 bytes_out=%zu ", strlen(strstr(front->data, "\r\n\r\n") + 4));
    expect(logged(front, 1), part);
    expect(lines, " status=503 outcome=\"target_absent\" ");
    assert_true(counter_read(&front->rig->metrics.sent_bytes) > 100);
}

static void test_record_of_an_answer_that_nobody_took_says_that_nothing_was_sent(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;

    assert_int_equal(rig_begin(rig, "GET /a 1\nHost: a"), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    rig_accept(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_BUFFER);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
    expect(logged(front, 1), " status=200 outcome=\"client_gone\" ");
    expect(lines, " bytes_in=0 bytes_out=0 ");
    assert_int_equal(counter_read(&rig->metrics.sent_bytes), 0);
}

/* ---- ends that never were an exchange's ---- */

static void test_record_of_a_head_that_never_came_has_its_line(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_head_ms = 20;
    front_open(front);
    front_await(front, OUTCOME_HEAD_TIMEOUT);
    expect(logged(front, 1), " listener=\"front\" peer=\"unix:uid=7,gid=8\" method=\"\" request=\"\" status=408 "
                             "outcome=\"head_timeout\" ");
    assert_null(strstr(lines, " id=\"\""));
    assert_null(strstr(lines, " total_us=0 "));
    assert_int_equal(ends_counted(front->rig), 1);
}

static void test_record_of_a_head_that_broke_off_has_its_line(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_head_ms = 200;
    front_open(front);
    assert_int_equal(send(front->fd, "GET /half HTTP/1.1\r\nHost:", 25, 0), 25);
    front_settle(front);
    front_await(front, OUTCOME_HEAD_TIMEOUT);
    expect(logged(front, 1), " request=\"/half\" status=408 outcome=\"head_timeout\" ");
    assert_null(strstr(lines, " id=\"\""));
    assert_int_equal(ends_counted(front->rig), 1);
}

/* The head comes when its time is over, but is still read. */
/* The loop has looked, and deadlines pass next. */
static void front_says_now(void *closure)
{
    struct front *front = closure;

    assert_int_equal(send(front->fd, GET, sizeof(GET) - 1, 0), sizeof(GET) - 1);
    loop_before_timers(front->rig->loop, NULL, NULL);
}

static void test_record_of_a_head_that_came_too_late_is_one(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_head_ms = 10;
    front_open(front);
    loop_before_timers(front->rig->loop, front_says_now, front);
    usleep(50000);
    front_await(front, OUTCOME_HEAD_TIMEOUT);
    expect(logged(front, 1), " status=408 outcome=\"head_timeout\" ");
    assert_int_equal(ends_counted(front->rig), 1);
    assert_false(rig_has_connection(front->rig));
}

static void test_record_of_a_refused_chunk_has_its_line(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    front_say(front, "not a chunk\r\n");
    front_await(front, OUTCOME_MALFORMED);
    expect(logged(front, 1), " method=\"POST\" request=\"/a\" ");
    expect(lines, " outcome=\"malformed\" ");
    assert_int_equal(ends_counted(front->rig), 1);
}

/* ---- tunnels ---- */

static void test_record_of_a_tunnel_is_its_exchange_s_and_more(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;

    front_open(front);
    front_reach_target(front, "POST /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                              "Content-Length: 3\r\n\r\nabc");
    front_target_say(front, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    front_say(front, "four");
    logged(front, 0);
    assert_int_equal(counter_read(&rig->metrics.tunnel_received_bytes), 4);
    front_target_say(front, "seven77");
    assert_true(rig_receive(rig) > 0);
    rig_close(rig);
    front_settle(front);
    close(front->fd);
    front->fd = -1;
    front_settle(front);
    expect(logged(front, 1), " method=\"POST\" request=\"/a\" status=101 outcome=\"tunneled\" ");
    expect(lines, " bytes_in=7 bytes_out=7 ");
    assert_int_equal(ends_counted(rig), 1);
    assert_int_equal(counter_read(&rig->metrics.received_bytes), 3);
    assert_int_equal(counter_read(&rig->metrics.sent_bytes), 0);
    assert_int_equal(counter_read(&rig->metrics.tunnel_received_bytes), 4);
    assert_int_equal(counter_read(&rig->metrics.tunnel_sent_bytes), 7);
}

static void test_record_of_a_stream_that_cannot_begin_has_its_line(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;
    struct tunnel_client client = rig_make_client(rig);

    rig->listener.stream = &rig->target_config;
    close(client.fd);
    client.fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* which epoll does not know */
    assert_true(exchange_stream(&rig->env, &client, TEXT_LITERAL("unix:uid=7")) < 0);
    expect(logged(front, 1), " listener=\"front\" peer=\"unix:uid=7\" ");
    expect(lines, " outcome=\"internal\" ");
    assert_int_equal(ends_counted(rig), 1);
}

#define LOGGED_TEST(name) cmocka_unit_test_setup_teardown(name, logged_setup, logged_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGGED_TEST(test_record_of_a_respond_says_what_was_sent),
        LOGGED_TEST(test_record_of_a_problem_says_what_was_sent),
        LOGGED_TEST(test_record_of_an_answer_that_nobody_took_says_that_nothing_was_sent),
        LOGGED_TEST(test_record_of_a_head_that_never_came_has_its_line),
        LOGGED_TEST(test_record_of_a_head_that_broke_off_has_its_line),
        LOGGED_TEST(test_record_of_a_head_that_came_too_late_is_one),
        LOGGED_TEST(test_record_of_a_refused_chunk_has_its_line),
        LOGGED_TEST(test_record_of_a_tunnel_is_its_exchange_s_and_more),
        LOGGED_TEST(test_record_of_a_stream_that_cannot_begin_has_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
