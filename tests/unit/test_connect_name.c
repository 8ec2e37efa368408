/* Connecting to host names: who is asked, what moves, which of several addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/connect_scene.h"
#include "tests/unit/name_service.h"

/* Another resolver, which knows nothing yet: whatever is known after all is libcurl's. */
static void forget_names(struct rig *rig)
{
    resolver_free(rig->resolver);
    rig->resolver = resolver_new(name_service_look_up);
    connector_ask_for_names(rig->connector, &(struct resolver_desk){rig->resolver, &rig->mailbox});
}

static void expect_reason(struct rig *rig, const char *name, enum outcome outcome, const char *reason)
{
    struct connect_scene result;

    connect_scene_begin(rig, &result, ADDRESS_HTTP, name, 80);
    connect_scene_await(rig, &result);
    assert_int_equal(result.outcome, outcome);
    assert_string_equal(failure_reason(&result.failure), reason);
}

static void test_connect_name_in_any_spelling_is_asked_of_the_resolver(void **state)
{
    static const char *const names[] = {"app.test", "App.TEST", "app.test."};
    struct rig *rig = *state;
    int port = 0, fd = connect_scene_listen(AF_INET, &port);

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        connect_scene_works(rig, ADDRESS_HTTP, names[i], port, fd);
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
    close(fd);
}

static void test_connect_localhost_asks_nobody(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = connect_scene_listen(AF_INET, &port);

    connect_scene_works(rig, ADDRESS_HTTP, "localhost", port, fd);
    connect_scene_works(rig, ADDRESS_HTTP, "a.localhost", port, fd);
    assert_int_equal(name_service_count(&name_service.n_begun), 0);
    close(fd);
}

static void test_connect_name_that_cannot_be_resolved(void **state)
{
    struct rig *rig = *state;

    name_service_set(NULL, EAI_NONAME, false);
    expect_reason(rig, "app.test", OUTCOME_CONNECT_FAILED, "cannot resolve app.test: Name or service not known");
    /* It is known by now. */
    expect_reason(rig, "app.test", OUTCOME_CONNECT_FAILED, "cannot resolve app.test: Name or service not known");
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
}

static void test_connect_name_that_nobody_knows_in_time(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = connect_scene_listen(AF_INET, &port);

    name_service_set("127.0.0.1", 0, true);
    rig->target_config.connect_timeout_ms = 60;
    expect_reason(rig, "silent.test", OUTCOME_CONNECT_TIMEOUT, "cannot resolve silent.test: no answer in 60 ms");
    /* The late answer is for the next. */
    name_service_set("127.0.0.1", 0, false);
    rig->target_config.connect_timeout_ms = RIG_PATIENCE_MS;
    connect_scene_works(rig, ADDRESS_HTTP, "silent.test", port, fd);
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    close(fd);
}

static int listen_at(const char *text, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void test_connect_name_that_has_moved_is_not_remembered_by_libcurl(void **state)
{
    struct rig *rig = *state;
    int port = 0, old = connect_scene_listen(AF_INET, &port), new = listen_at("127.0.0.2", port);

    for (int i = 0; i < 3; i++) {
        name_service_set("127.0.0.1", 0, false);
        forget_names(rig);
        connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, old);
        name_service_set("127.0.0.2", 0, false);
        forget_names(rig);
        connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, new);
    }
    close(old);
    close(new);
}

static void test_connect_name_that_has_moved_is_asked_for_anew_when_refused(void **state)
{
    struct rig *rig = *state;
    int port = 0, old = connect_scene_listen(AF_INET, &port), new;

    connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, old);
    close(old);
    new = listen_at("127.0.0.2", port);
    name_service_set("127.0.0.2", 0, false);
    /* Not twice in a second. */
    connect_scene_fails(rig, ADDRESS_HTTP, "app.test", port, OUTCOME_TARGET_REFUSED);
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    rig_pass_ms(rig, RESOLVER_PAUSE_MS + 20);
    connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, new);
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
    close(new);
}

static void test_connect_name_refused_everywhere_says_so_once(void **state)
{
    struct rig *rig = *state;
    struct instant begun;
    int port = 0;

    close(connect_scene_listen(AF_INET, &port));
    connect_scene_fails(rig, ADDRESS_HTTP, "silent.test", port, OUTCOME_TARGET_REFUSED);
    rig_pass_ms(rig, RESOLVER_PAUSE_MS + 20);
    name_service_set("127.0.0.1", 0, true);
    /* A name server that is silent by now keeps nobody for long. */
    begun = instant_now();
    connect_scene_fails(rig, ADDRESS_HTTP, "silent.test", port, OUTCOME_TARGET_REFUSED);
    assert_in_range(instant_elapsed_us(begun, instant_now()) / 1000, RESOLVER_GRACE_MS - 20, 8000);
    name_service_set("127.0.0.1", 0, false);
}

static void test_connect_name_of_two_families_of_which_one_refuses(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = connect_scene_listen(AF_INET, &port);

    name_service_set("::1,127.0.0.1", 0, false);
    connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, fd);
    close(fd);
    fd = connect_scene_listen(AF_INET6, &port);
    if (fd < 0)
        skip(); /* a machine without IPv6 */
    name_service_set("127.0.0.1,::1", 0, false);
    forget_names(rig);
    connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, fd);
    close(fd);
}

/* A full backlog of TCP: what comes is dropped, as by a route into nowhere. Returns the port. */
static int black_hole(int *ret_fds, size_t n)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int port = 0;

    ret_fds[0] = connect_scene_listen(AF_INET6, &port);
    if (ret_fds[0] < 0)
        return -1;
    assert_int_equal(listen(ret_fds[0], 0), 0);
    address.sin6_port = htons((uint16_t)port);
    for (size_t i = 1; i < n; i++) {
        ret_fds[i] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(ret_fds[i], (struct sockaddr *)&address, sizeof(address));
    }
    return port;
}

static void test_connect_name_of_two_families_of_which_one_is_silent(void **state)
{
    struct rig *rig = *state;
    struct instant begun;
    int fds[6] = {-1}, port = black_hole(fds, ARRAY_LENGTH(fds)), fd;
    uint64_t took_ms;

    if (port < 0)
        skip(); /* a machine without IPv6 */
    fd = listen_at("127.0.0.1", port);
    name_service_set("::1,127.0.0.1", 0, false);
    for (int i = 0; i < 2; i++) {
        rig->target_config.connect_timeout_ms = i == 0 ? RIG_PATIENCE_MS : 300;
        begun = instant_now();
        connect_scene_works(rig, ADDRESS_HTTP, "app.test", port, fd);
        took_ms = instant_elapsed_us(begun, instant_now()) / 1000;
        assert_in_range(took_ms, i == 0 ? 190 : 140, i == 0 ? 8000 : 299);
    }
    close(fd);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
}

static void test_connect_name_behind_a_server_name(void **state)
{
    struct rig *rig = *state;
    struct connect_scene result;
    struct instant end;
    int port = 0, listening = connect_scene_listen(AF_INET, &port), fd;

    rig->target_config.tls.server_name = "example.org";
    connect_scene_begin(rig, &result, ADDRESS_HTTPS, "app.test", port);
    assert_int_equal(result.start, CONNECT_WAIT);
    end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);
    while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) < 0 && instant_before(instant_now(), end))
        rig_pass_ms(rig, 5);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
    connect_scene_await(rig, &result);
    assert_int_equal(result.outcome, OUTCOME_TLS_FAILED);
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    close(fd);
    close(listening);
}

static void test_connect_name_of_a_process_that_slept_is_waited_for_anew(void **state)
{
    struct rig *rig = *state;
    struct connect_scene result;
    int port = 0, fd = connect_scene_listen(AF_INET, &port);

    name_service_set("127.0.0.1", 0, true);
    rig->target_config.connect_timeout_ms = 1000;
    connect_scene_begin(rig, &result, ADDRESS_HTTP, "silent.test", port);
    assert_int_equal(result.start, CONNECT_WAIT);
    usleep(1500000); /* the loop does not run */
    rig_pass_ms(rig, 20);
    assert_int_equal(result.outcome, OUTCOME_PENDING);
    name_service_set("127.0.0.1", 0, false);
    connect_scene_await(rig, &result);
    assert_int_equal(result.outcome, OUTCOME_FORWARDED);
    channel_close(&result.channel);
    close(fd);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_connect_name_in_any_spelling_is_asked_of_the_resolver),
        RIG_TEST(test_connect_localhost_asks_nobody),
        RIG_TEST(test_connect_name_that_cannot_be_resolved),
        RIG_TEST(test_connect_name_that_nobody_knows_in_time),
        RIG_TEST(test_connect_name_that_has_moved_is_not_remembered_by_libcurl),
        RIG_TEST(test_connect_name_that_has_moved_is_asked_for_anew_when_refused),
        RIG_TEST(test_connect_name_refused_everywhere_says_so_once),
        RIG_TEST(test_connect_name_of_two_families_of_which_one_refuses),
        RIG_TEST(test_connect_name_of_two_families_of_which_one_is_silent),
        RIG_TEST(test_connect_name_behind_a_server_name),
        RIG_TEST(test_connect_name_of_a_process_that_slept_is_waited_for_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
