#include "tests/unit/connect_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/publish_fixture.h"

static void connect_scene_set(void *closure, struct channel *channel, const struct failure *failure)
{
    struct connect_scene *result = closure;

    result->n_called++;
    result->outcome = channel ? OUTCOME_FORWARDED : failure->outcome;
    result->failure = *failure;
    result->attempt = NULL;
    if (channel)
        result->channel = *channel;
}

void connect_scene_begin(struct rig *rig, struct connect_scene *result, enum address_kind kind, const char *name,
                         int port)
{
    const struct destination to = {&rig->endpoint.address, &rig->target_config.tls,
                                   rig->target_config.resolve_every_ms};

    *result = (struct connect_scene){.channel = CHANNEL_INIT};
    failure_init(&result->failure);
    rig->endpoint.address = (struct address){.kind = kind, .name = (char *)name, .port = (uint16_t)port};
    result->start = connect_start(rig->connector, &to, rig->target_config.connect_timeout_ms, connect_scene_set, result,
                                  &result->channel, &result->attempt, &result->failure);
    result->outcome = result->start == CONNECT_DONE ? OUTCOME_FORWARDED : result->failure.outcome;
}

void connect_scene_await(struct rig *rig, struct connect_scene *result)
{
    struct instant end = instant_add_ms(instant_now(), 3 * RIG_PATIENCE_MS);

    while (result->outcome == OUTCOME_PENDING && instant_before(instant_now(), end))
        rig_pass_ms(rig, 1);
    assert_int_equal(result->n_called, result->start == CONNECT_WAIT);
}

void connect_scene_fails(struct rig *rig, enum address_kind kind, const char *name, int port, enum outcome outcome)
{
    struct connect_scene result;
    int descriptors = fixture_count_descriptors();

    connect_scene_begin(rig, &result, kind, name, port);
    assert_int_not_equal(result.start, CONNECT_DONE);
    connect_scene_await(rig, &result);
    if (result.outcome != outcome)
        fail_msg("%s: outcome %d, errno %d, expected %s", name, result.outcome, result.failure.error_number,
                 outcome_info(outcome)->name);
    assert_int_equal(result.channel.fd, -1);
    assert_int_equal(fixture_count_descriptors(), descriptors);
}

void connect_scene_works(struct rig *rig, enum address_kind kind, const char *name, int port, int listen_fd)
{
    struct connect_scene result;
    char byte = 0, more[16];
    int fd;

    connect_scene_begin(rig, &result, kind, name, port);
    connect_scene_await(rig, &result);
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

int connect_scene_listen(int family, int *ret_port)
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
