#include "tests/unit/tunnel_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

const struct record tunnel_record = {.request_id = TEXT_LITERAL("id-1"),
                                     .listener = TEXT_LITERAL("front"),
                                     .upstream = TEXT_LITERAL("app"),
                                     .peer = TEXT_LITERAL("unix:uid=7,gid=8"),
                                     .connect_us = -1,
                                     .first_byte_us = -1};

struct tunnel *tunnel_only(struct rig *rig)
{
    assert_int_equal(rig->env.tunnels.n_tunnels, 1);
    return CONTAINER_OF(rig->env.tunnels.list.next, struct tunnel, link);
}

void tunnel_begin(struct rig *rig)
{
    struct tunnel_client client = rig_make_client(rig);

    assert_int_equal(tunnel_open(&rig->env.tunnels, &client, rig->target, &tunnel_record), 0);
}

void tunnel_begin_open(struct rig *rig)
{
    tunnel_begin(rig);
    rig_turn(rig);
    rig_accept(rig);
}

void end_say(struct rig *rig, int fd, const char *data)
{
    assert_int_equal(send(fd, data, strlen(data), MSG_NOSIGNAL), strlen(data));
    rig_turn(rig);
}

void end_expect(int fd, const char *data)
{
    char got[256];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

    if (n < 0 && errno == EAGAIN)
        n = 0;
    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, data);
    assert_int_equal(recv(fd, got, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

void end_expect_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

void end_finish(struct rig *rig, int fd)
{
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_turn(rig);
}

void tunnel_expect_over(struct rig *rig, enum outcome outcome)
{
    rig_turn(rig);
    assert_int_equal(rig->env.tunnels.n_tunnels, 0);
    for (int i = 0; i < N_OUTCOMES; i++)
        if (rig_count(rig, (enum outcome)i) != (i == (int)outcome))
            fail_msg("outcome %s was counted %d times, expected %s", outcome_info((enum outcome)i)->name,
                     (int)rig_count(rig, (enum outcome)i), outcome_info(outcome)->name);
    assert_int_equal(rig->n_left, 1);
    assert_int_equal(target_n_open(rig->target), 0);
    assert_int_equal(rig->generation->n_holders, 2);
}

void tunnel_expect_open(struct rig *rig)
{
    assert_int_equal(rig->env.tunnels.n_tunnels, 1);
    assert_int_equal(rig->n_left, 0);
}

void tunnel_expect_moved(struct rig *rig, uint64_t received, uint64_t sent)
{
    assert_int_equal(counter_read(&rig->metrics.tunnels), 1);
    assert_int_equal(counter_read(&rig->metrics.tunnel_received_bytes), received);
    assert_int_equal(counter_read(&rig->metrics.tunnel_sent_bytes), sent);
}

void end_make_tiny(int fd)
{
    int bytes = 1; /* the kernel's least */

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

char *end_pattern(size_t n)
{
    char *data = malloc(n);

    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)(i * 31 + i / 251);
    return data;
}

size_t end_receive(int fd, char *data, size_t size)
{
    size_t n = 0;
    ssize_t r;

    while (n < size && (r = recv(fd, data + n, size - n, 0)) > 0)
        n += (size_t)r;
    return n;
}
