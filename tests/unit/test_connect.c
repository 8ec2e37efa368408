/* Connecting, through libcurl, to every kind of address and to everything that can be wrong with one. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"
#include "tests/unit/name_service.h"
#include "tests/unit/publish_fixture.h"
#include "tests/unit/state_walk.h"

struct result {
    enum connect_result start;
    enum outcome outcome; /* OUTCOME_PENDING: not ended */
    struct failure failure;
    unsigned n_called;
    struct channel channel;
    struct attempt *attempt;
};

static void result_set(void *closure, struct channel *channel, const struct failure *failure)
{
    struct result *result = closure;

    result->n_called++;
    result->outcome = channel ? OUTCOME_FORWARDED : failure->outcome;
    result->failure = *failure;
    result->attempt = NULL;
    if (channel)
        result->channel = *channel;
}

static void begin(struct rig *rig, struct result *result, enum address_kind kind, const char *name, int port)
{
    const struct destination to = {&rig->endpoint.address, &rig->target_config.tls,
                                   rig->target_config.resolve_every_ms};

    *result = (struct result){.channel = CHANNEL_INIT};
    failure_init(&result->failure);
    rig->endpoint.address = (struct address){.kind = kind, .name = (char *)name, .port = (uint16_t)port};
    result->start = connect_start(rig->connector, &to, rig->target_config.connect_timeout_ms, result_set, result,
                                  &result->channel, &result->attempt, &result->failure);
    result->outcome = result->start == CONNECT_DONE ? OUTCOME_FORWARDED : result->failure.outcome;
}

static void await(struct rig *rig, struct result *result)
{
    struct instant end = instant_add_ms(instant_now(), 3 * RIG_PATIENCE_MS);

    while (result->outcome == OUTCOME_PENDING && instant_before(instant_now(), end))
        rig_pass_ms(rig, 1);
    assert_int_equal(result->n_called, result->start == CONNECT_WAIT);
}

static void expect_failure(struct rig *rig, enum address_kind kind, const char *name, int port, enum outcome outcome)
{
    struct result result;
    int descriptors = fixture_count_descriptors();

    begin(rig, &result, kind, name, port);
    assert_int_not_equal(result.start, CONNECT_DONE);
    await(rig, &result);
    if (result.outcome != outcome)
        fail_msg("%s: outcome %d, errno %d, expected %s", name, result.outcome, result.failure.error_number,
                 outcome_info(outcome)->name);
    assert_int_equal(result.channel.fd, -1);
    assert_int_equal(fixture_count_descriptors(), descriptors);
}

/* Connects, and moves a byte each way. */
static void expect_connection(struct rig *rig, enum address_kind kind, const char *name, int port, int listen_fd)
{
    struct result result;
    char byte = 0, more[16];
    int fd;

    begin(rig, &result, kind, name, port);
    await(rig, &result);
    if (result.outcome != OUTCOME_FORWARDED)
        fail_msg("%s: outcome %s, errno %d", name, outcome_info(result.outcome)->name, result.failure.error_number);
    assert_true(fcntl(result.channel.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(result.channel.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(channel_recv(&result.channel, &byte, 1), -EAGAIN);
    assert_int_equal(channel_send(&result.channel, "a", 1), 1);
    fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'a');
    assert_int_equal(send(fd, "bcd", 3, 0), 3);
    assert_int_equal(channel_recv_parts(&result.channel, &byte, 1, more, sizeof(more)), 3);
    assert_int_equal(byte, 'b');
    assert_memory_equal(more, "cd", 2);
    close(fd);
    assert_int_equal(channel_recv(&result.channel, &byte, 1), 0);
    assert_int_equal(channel_send(&result.channel, "a", 1), kind <= ADDRESS_ABSTRACT ? -EPIPE : 1);
    channel_close(&result.channel);
    channel_close(&result.channel);
    assert_int_equal(result.channel.fd, -1);
}

static int listen_tcp(int family, int *ret_port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr *address = family == AF_INET6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
    socklen_t length = family == AF_INET6 ? sizeof(six) : sizeof(four);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, address, length) < 0) {
        close(fd);
        return -1;
    }
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, address, &length), 0);
    *ret_port = ntohs(family == AF_INET6 ? six.sin6_port : four.sin_port);
    return fd;
}

static void test_connect_attempt_moves_as_its_table_says(void **state)
{
    (void)state;
    state_walk(&attempt_machine, NULL,
               "RESOLVING: TRYING OVER\n"
               "TRYING: RESOLVING BACKING_OFF OVER\n"
               "BACKING_OFF: TRYING\n");
}

static void test_connect_unix(void **state)
{
    struct rig *rig = *state;

    expect_connection(rig, ADDRESS_UNIX, rig->path, 0, rig->listen_fd);
}

static void test_connect_unix_is_immediate(void **state)
{
    struct rig *rig = *state;
    struct result result;

    begin(rig, &result, ADDRESS_UNIX, rig->path, 0);
    assert_int_equal(result.start, CONNECT_DONE);
    channel_close(&result.channel);
}

static void test_connect_abstract(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name, sizeof(name), "porthole-unit-%d", (int)getpid());
    expect_failure(rig, ADDRESS_ABSTRACT, name, 0, OUTCOME_TARGET_REFUSED);
    memcpy(address.sun_path + 1, name, strlen(name));
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
        0);
    assert_int_equal(listen(fd, 1), 0);
    expect_connection(rig, ADDRESS_ABSTRACT, name, 0, fd);
    close(fd);
}

static void test_connect_absent(void **state)
{
    struct rig *rig = *state;

    rig_stop_listening(rig);
    expect_failure(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_ABSENT);
    expect_failure(rig, ADDRESS_UNIX, "/nonexistent-directory/a.sock", 0, OUTCOME_TARGET_ABSENT);
    expect_failure(rig, ADDRESS_UNIX, "/dev/null/a.sock", 0, OUTCOME_TARGET_ABSENT);
}

static void test_connect_refused(void **state)
{
    struct rig *rig = *state;

    expect_failure(rig, ADDRESS_UNIX, "/dev/null", 0, OUTCOME_TARGET_REFUSED); /* not a socket */
    close(rig->listen_fd);
    rig->listen_fd = -1;
    expect_failure(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_REFUSED);
}

static void test_connect_denied(void **state)
{
    struct rig *rig = *state;
    bool is_root = geteuid() == 0;

    assert_int_equal(chmod(rig->path, 0), 0);
    assert_int_equal(chmod(rig->directory, 0711), 0);
    if (is_root)
        assert_int_equal(seteuid(FIXTURE_STRANGER), 0);
    expect_failure(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_DENIED);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
}

/* ---- long paths ---- */

/* Moves the rig's socket to `path`, which may be longer than sockaddr_un allows. */
static void expect_connection_at(struct rig *rig, const char *path)
{
    assert_int_equal(rename(rig->path, path), 0);
    expect_connection(rig, ADDRESS_UNIX, path, 0, rig->listen_fd);
    assert_int_equal(rename(path, rig->path), 0);
}

static void test_connect_path_of_every_length_around_the_limit_reaches_it(void **state)
{
    struct rig *rig = *state;
    char directory[128], path[256];

    for (int length = 104; length <= 112; length++) {
        int n = length - (int)strlen(rig->directory) - (int)strlen("//s.sock");

        snprintf(directory, sizeof(directory), "%s/%0*d", rig->directory, n, 0);
        snprintf(path, sizeof(path), "%s/s.sock", directory);
        assert_int_equal(strlen(path), length);
        assert_int_equal(mkdir(directory, 0700), 0);
        expect_connection_at(rig, path);
        assert_int_equal(rmdir(directory), 0);
    }
}

static void test_connect_long_path_absent_and_refused(void **state)
{
    struct rig *rig = *state;
    char path[512];

    snprintf(path, sizeof(path), "%s/%0120d/a.sock", rig->directory, 0);
    expect_failure(rig, ADDRESS_UNIX, path, 0, OUTCOME_TARGET_ABSENT);
    snprintf(path, sizeof(path), "%s/%0120d", rig->directory, 0);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/%0120d/a.sock", rig->directory, 0);
    expect_failure(rig, ADDRESS_UNIX, path, 0, OUTCOME_TARGET_ABSENT);
    assert_int_equal(rename(rig->path, path), 0);
    close(rig->listen_fd);
    rig->listen_fd = -1;
    expect_failure(rig, ADDRESS_UNIX, path, 0, OUTCOME_TARGET_REFUSED);
    unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void test_connect_name_of_255_bytes_reaches_it(void **state)
{
    struct rig *rig = *state;
    char path[512];

    snprintf(path, sizeof(path), "%s/%0255d", rig->directory, 0);
    assert_int_equal(rename(rig->path, path), 0);
    expect_connection(rig, ADDRESS_UNIX, path, 0, rig->listen_fd);
    unlink(path);
}

/* ---- a full backlog ---- */

static void fill_backlog(struct rig *rig, struct result *first)
{
    assert_int_equal(listen(rig->listen_fd, 0), 0);
    begin(rig, first, ADDRESS_UNIX, rig->path, 0);
    assert_int_equal(first->start, CONNECT_DONE);
}

static void test_connect_full_backlog_waits_until_it_drains(void **state)
{
    struct rig *rig = *state;
    struct result first, second;

    fill_backlog(rig, &first);
    begin(rig, &second, ADDRESS_UNIX, rig->path, 0);
    assert_int_equal(second.start, CONNECT_WAIT);
    rig_pass_ms(rig, 50);
    assert_int_equal(second.outcome, OUTCOME_PENDING);
    rig_accept(rig);
    await(rig, &second);
    assert_int_equal(second.outcome, OUTCOME_FORWARDED);
    rig_accept(rig);
    channel_close(&first.channel);
    channel_close(&second.channel);
}

static void test_connect_full_backlog_until_the_deadline(void **state)
{
    struct rig *rig = *state;
    struct instant begun = instant_now();
    struct result first;

    rig->target_config.connect_timeout_ms = 60;
    fill_backlog(rig, &first);
    expect_failure(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_FULL);
    assert_true(instant_elapsed_us(begun, instant_now()) >= 55000);
    channel_close(&first.channel);
}

static void test_connect_full_backlog_of_a_target_that_leaves(void **state)
{
    struct rig *rig = *state;
    struct result first, second;

    fill_backlog(rig, &first);
    begin(rig, &second, ADDRESS_UNIX, rig->path, 0);
    rig_stop_listening(rig);
    await(rig, &second);
    assert_int_equal(second.outcome, OUTCOME_TARGET_ABSENT);
    channel_close(&first.channel);
}

/* ---- TCP ---- */

static void test_connect_tcp(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = listen_tcp(AF_INET, &port);

    assert_true(fd >= 0);
    expect_connection(rig, ADDRESS_HTTP, "127.0.0.1", port, fd);
    expect_connection(rig, ADDRESS_HTTP, "localhost", port, fd);
    close(fd);
    expect_failure(rig, ADDRESS_HTTP, "127.0.0.1", port, OUTCOME_TARGET_REFUSED);
}

static void test_connect_tcp_v6(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = listen_tcp(AF_INET6, &port);

    if (fd < 0)
        skip(); /* a machine without IPv6 */
    expect_connection(rig, ADDRESS_HTTP, "::1", port, fd);
    close(fd);
    expect_failure(rig, ADDRESS_HTTP, "::1", port, OUTCOME_TARGET_REFUSED);
}

/* ---- host names ---- */

/* Another resolver, which knows nothing yet: whatever is known after all is libcurl's. */
static void forget_names(struct rig *rig)
{
    resolver_free(rig->resolver);
    rig->resolver = resolver_new(name_service_look_up);
    connector_ask_for_names(rig->connector, &(struct resolver_desk){rig->resolver, &rig->mailbox});
}

static void expect_reason(struct rig *rig, const char *name, enum outcome outcome, const char *reason)
{
    struct result result;

    begin(rig, &result, ADDRESS_HTTP, name, 80);
    await(rig, &result);
    assert_int_equal(result.outcome, outcome);
    assert_string_equal(failure_reason(&result.failure), reason);
}

static void test_connect_name_in_any_spelling_is_asked_of_the_resolver(void **state)
{
    static const char *const names[] = {"app.test", "App.TEST", "app.test."};
    struct rig *rig = *state;
    int port = 0, fd = listen_tcp(AF_INET, &port);

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        expect_connection(rig, ADDRESS_HTTP, names[i], port, fd);
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
    close(fd);
}

static void test_connect_localhost_asks_nobody(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = listen_tcp(AF_INET, &port);

    expect_connection(rig, ADDRESS_HTTP, "localhost", port, fd);
    expect_connection(rig, ADDRESS_HTTP, "a.localhost", port, fd);
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
    int port = 0, fd = listen_tcp(AF_INET, &port);

    name_service_set("127.0.0.1", 0, true);
    rig->target_config.connect_timeout_ms = 60;
    expect_reason(rig, "silent.test", OUTCOME_CONNECT_TIMEOUT, "cannot resolve silent.test: no answer in 60 ms");
    /* The late answer is for the next. */
    name_service_set("127.0.0.1", 0, false);
    rig->target_config.connect_timeout_ms = RIG_PATIENCE_MS;
    expect_connection(rig, ADDRESS_HTTP, "silent.test", port, fd);
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
    int port = 0, old = listen_tcp(AF_INET, &port), new = listen_at("127.0.0.2", port);

    for (int i = 0; i < 3; i++) {
        name_service_set("127.0.0.1", 0, false);
        forget_names(rig);
        expect_connection(rig, ADDRESS_HTTP, "app.test", port, old);
        name_service_set("127.0.0.2", 0, false);
        forget_names(rig);
        expect_connection(rig, ADDRESS_HTTP, "app.test", port, new);
    }
    close(old);
    close(new);
}

static void test_connect_name_that_has_moved_is_asked_for_anew_when_refused(void **state)
{
    struct rig *rig = *state;
    int port = 0, old = listen_tcp(AF_INET, &port), new;

    expect_connection(rig, ADDRESS_HTTP, "app.test", port, old);
    close(old);
    new = listen_at("127.0.0.2", port);
    name_service_set("127.0.0.2", 0, false);
    /* Not twice in a second. */
    expect_failure(rig, ADDRESS_HTTP, "app.test", port, OUTCOME_TARGET_REFUSED);
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    rig_pass_ms(rig, RESOLVER_PAUSE_MS + 20);
    expect_connection(rig, ADDRESS_HTTP, "app.test", port, new);
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
    close(new);
}

static void test_connect_name_refused_everywhere_says_so_once(void **state)
{
    struct rig *rig = *state;
    struct instant begun;
    int port = 0;

    close(listen_tcp(AF_INET, &port));
    expect_failure(rig, ADDRESS_HTTP, "silent.test", port, OUTCOME_TARGET_REFUSED);
    rig_pass_ms(rig, RESOLVER_PAUSE_MS + 20);
    name_service_set("127.0.0.1", 0, true);
    /* A name server that is silent by now keeps nobody for long. */
    begun = instant_now();
    expect_failure(rig, ADDRESS_HTTP, "silent.test", port, OUTCOME_TARGET_REFUSED);
    assert_in_range(instant_elapsed_us(begun, instant_now()) / 1000, RESOLVER_GRACE_MS - 20, RESOLVER_GRACE_MS + 1000);
    name_service_set("127.0.0.1", 0, false);
}

static void test_connect_name_of_two_families_of_which_one_refuses(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = listen_tcp(AF_INET, &port);

    name_service_set("::1,127.0.0.1", 0, false);
    expect_connection(rig, ADDRESS_HTTP, "app.test", port, fd);
    close(fd);
    fd = listen_tcp(AF_INET6, &port);
    if (fd < 0)
        skip(); /* a machine without IPv6 */
    name_service_set("127.0.0.1,::1", 0, false);
    forget_names(rig);
    expect_connection(rig, ADDRESS_HTTP, "app.test", port, fd);
    close(fd);
}

/* A full backlog of TCP: what comes is dropped, as by a route into nowhere. Returns the port. */
static int black_hole(int *ret_fds, size_t n)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int port = 0;

    ret_fds[0] = listen_tcp(AF_INET6, &port);
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
        expect_connection(rig, ADDRESS_HTTP, "app.test", port, fd);
        took_ms = instant_elapsed_us(begun, instant_now()) / 1000;
        assert_in_range(took_ms, i == 0 ? 190 : 140, i == 0 ? 1500 : 299);
    }
    close(fd);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
}

static void test_connect_name_behind_a_server_name(void **state)
{
    struct rig *rig = *state;
    struct result result;
    int port = 0, listening = listen_tcp(AF_INET, &port), fd;

    rig->target_config.tls.server_name = "example.org";
    begin(rig, &result, ADDRESS_HTTPS, "app.test", port);
    assert_int_equal(result.start, CONNECT_WAIT);
    rig_pass_ms(rig, 50);
    fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
    await(rig, &result);
    assert_int_equal(result.outcome, OUTCOME_TLS_FAILED);
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    close(fd);
    close(listening);
}

static void test_connect_name_of_a_process_that_slept_is_waited_for_anew(void **state)
{
    struct rig *rig = *state;
    struct result result;
    int port = 0, fd = listen_tcp(AF_INET, &port);

    name_service_set("127.0.0.1", 0, true);
    rig->target_config.connect_timeout_ms = 100;
    begin(rig, &result, ADDRESS_HTTP, "silent.test", port);
    assert_int_equal(result.start, CONNECT_WAIT);
    usleep(500000); /* the loop does not run */
    rig_pass_ms(rig, 20);
    assert_int_equal(result.outcome, OUTCOME_PENDING);
    name_service_set("127.0.0.1", 0, false);
    await(rig, &result);
    assert_int_equal(result.outcome, OUTCOME_FORWARDED);
    channel_close(&result.channel);
    close(fd);
}

/* ---- TLS ---- */

static void test_connect_tls_to_a_plain_server(void **state)
{
    struct rig *rig = *state;
    struct result result;
    int port = 0, listening = listen_tcp(AF_INET, &port), fd;

    begin(rig, &result, ADDRESS_HTTPS, "127.0.0.1", port);
    assert_int_equal(result.start, CONNECT_WAIT);
    rig_pass_ms(rig, 20);
    fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
    await(rig, &result);
    assert_int_equal(result.outcome, OUTCOME_TLS_FAILED);
    close(fd);
    close(listening);
}

static void test_connect_tls_to_a_silent_server_times_out(void **state)
{
    struct rig *rig = *state;
    int port = 0, listening = listen_tcp(AF_INET, &port);

    rig->target_config.connect_timeout_ms = 60;
    expect_failure(rig, ADDRESS_HTTPS, "127.0.0.1", port, OUTCOME_CONNECT_TIMEOUT);
    close(listening);
}

static void test_connect_tls_with_a_missing_ca_file(void **state)
{
    struct rig *rig = *state;
    int port = 0, listening = listen_tcp(AF_INET, &port);

    rig->target_config.tls.verify = true;
    rig->target_config.tls.ca = "/nonexistent/ca.pem";
    expect_failure(rig, ADDRESS_HTTPS, "127.0.0.1", port, OUTCOME_TLS_FAILED);
    close(listening);
}

static void test_connect_cancelled_at_each_stage_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    int descriptors, port = 0, listening = listen_tcp(AF_INET, &port);
    struct result first, result;

    fill_backlog(rig, &first);
    name_service_set("127.0.0.1", 0, true);
    rig->target_config.tls.server_name = "example.org";
    descriptors = fixture_count_descriptors();
    for (int stage = 0; stage < 6; stage++) {
        switch (stage / 2) {
        case 0: /* backing off */
            begin(rig, &result, ADDRESS_UNIX, rig->path, 0);
            break;
        case 1: /* resolving */
            begin(rig, &result, ADDRESS_HTTP, "silent.test", port);
            break;
        default: /* shaking hands with somebody who says nothing */
            begin(rig, &result, ADDRESS_HTTPS, "127.0.0.1", port);
        }
        assert_int_equal(result.start, CONNECT_WAIT);
        if (stage % 2)
            rig_pass_ms(rig, 20);
        connect_cancel(result.attempt);
        rig_pass_ms(rig, 10);
        assert_int_equal(result.n_called, 0);
    }
    assert_int_equal(fixture_count_descriptors(), descriptors);
    name_service_set("127.0.0.1", 0, false);
    channel_close(&first.channel);
    close(listening);
}

/* One test's attempts reuse the easy handles of the attempts before. */
static void test_connect_many_times_in_turns(void **state)
{
    struct rig *rig = *state;
    int descriptors = fixture_count_descriptors();

    for (int i = 0; i < 50; i++) {
        expect_connection(rig, ADDRESS_UNIX, rig->path, 0, rig->listen_fd);
        expect_failure(rig, ADDRESS_UNIX, "/nonexistent", 0, OUTCOME_TARGET_ABSENT);
        expect_failure(rig, ADDRESS_ABSTRACT, "porthole-unit-nobody", 0, OUTCOME_TARGET_REFUSED);
    }
    assert_int_equal(fixture_count_descriptors(), descriptors);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_attempt_moves_as_its_table_says),
        RIG_TEST(test_connect_unix),
        RIG_TEST(test_connect_unix_is_immediate),
        RIG_TEST(test_connect_abstract),
        RIG_TEST(test_connect_absent),
        RIG_TEST(test_connect_refused),
        RIG_TEST(test_connect_denied),
        RIG_TEST(test_connect_path_of_every_length_around_the_limit_reaches_it),
        RIG_TEST(test_connect_long_path_absent_and_refused),
        RIG_TEST(test_connect_name_of_255_bytes_reaches_it),
        RIG_TEST(test_connect_full_backlog_waits_until_it_drains),
        RIG_TEST(test_connect_full_backlog_until_the_deadline),
        RIG_TEST(test_connect_full_backlog_of_a_target_that_leaves),
        RIG_TEST(test_connect_tcp),
        RIG_TEST(test_connect_tcp_v6),
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
        RIG_TEST(test_connect_tls_to_a_plain_server),
        RIG_TEST(test_connect_tls_to_a_silent_server_times_out),
        RIG_TEST(test_connect_tls_with_a_missing_ca_file),
        RIG_TEST(test_connect_cancelled_at_each_stage_leaves_nothing),
        RIG_TEST(test_connect_many_times_in_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
