#include "tests/unit/client_rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void front_on_left(struct admission_desk *desk)
{
    struct front *front = desk->closure;

    front->n_closed++;
    admission_wait(desk, ADMISSION_FULL);
}

static void front_make_tcp(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ends[1], (struct sockaddr *)&address, length), 0);
    ends[0] = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(ends[0] >= 0);
    assert_int_equal(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    close(fd);
}

void front_connect(struct front *front)
{
    struct peer peer = {.is_unix = !front->is_tcp, .uid = 7, .gid = 8, .address = "127.0.0.1"};
    int ends[2];

    if (front->fd >= 0)
        close(front->fd);
    if (front->is_tcp)
        front_make_tcp(ends);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    front->fd = ends[1];
    front->n_data = 0;
    front->data[0] = '\0';
    assert_int_equal(frontend_add(front->frontend, ends[0], front->rig->env.generation, &front->rig->listener, &peer,
                                  rig_pass(front->rig)),
                     0);
}

/* With the settings that the test made in the rig. */
void front_open(struct front *front)
{
    struct error error = ERROR_INIT;

    front->rig->admission.desks[0].told = front_on_left;
    front->rig->admission.desks[0].closure = front;
    front->frontend = frontend_new(&front->rig->env, &error);
    if (!front->frontend)
        fail_msg("%s", error.message);
    front_connect(front);
}

void front_open_moving(struct front *front)
{
    front->rig->env.bulk_bytes = front->rig->env.bulk_tcp_bytes = front->rig->env.bulk_chunk_bytes = 1;
    front_open(front);
}

int front_setup(void **state)
{
    struct front *front = calloc(1, sizeof(*front));

    assert_non_null(front);
    front->fd = -1;
    *state = front;
    return rig_setup((void **)&front->rig);
}

int front_teardown(void **state)
{
    struct front *front = *state;
    int r;

    frontend_free(front->frontend);
    if (front->fd >= 0)
        close(front->fd);
    r = rig_teardown((void **)&front->rig);
    free(front);
    return r;
}

/* As a worker does, at most `ms` of sleep. */
int front_round(struct front *front, int ms)
{
    bool busy = frontend_is_busy(front->frontend) || exchanges_are_ready(&front->rig->env);
    int n = loop_run_once(front->rig->loop, busy ? 0 : ms);

    assert_true(n >= 0);
    frontend_turn(front->frontend, n);
    tunnels_turn(&front->rig->env.tunnels);
    exchanges_turn(&front->rig->env);
    return busy || n > 0;
}

void front_receive(struct front *front)
{
    ssize_t n;

    while ((n = recv(front->fd, front->data + front->n_data, sizeof(front->data) - 1 - front->n_data, 0)) > 0)
        front->n_data += (size_t)n;
    front->data[front->n_data] = '\0';
}

void front_settle(struct front *front)
{
    for (int i = 0; front_round(front, 0); i++)
        assert_true(i < 10000);
}

void front_say(struct front *front, const char *data)
{
    assert_int_equal(send(front->fd, data, strlen(data), MSG_NOSIGNAL), strlen(data));
    front_settle(front);
}

void front_expect(struct front *front, const char *first, const char *last)
{
    front_settle(front);
    front_receive(front);
    if (strncmp(front->data, first, strlen(first)) != 0 || front->n_data < strlen(last) ||
        strcmp(front->data + front->n_data - strlen(last), last) != 0)
        fail_msg("expected '%s...%s', got '%s'", first, last, front->data);
    front->n_data = 0;
}

void front_expect_closed(struct front *front)
{
    char byte;

    assert_int_equal(recv(front->fd, &byte, 1, 0), 0);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(frontend_clients(front->frontend)->n_clients, 0);
}

void front_await(struct front *front, enum outcome outcome)
{
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS / 2);

    while (rig_count(front->rig, outcome) == 0) {
        front_round(front, 5);
        if (!instant_before(instant_now(), end))
            fail_msg("%s was never counted", outcome_info(outcome)->name);
    }
    for (int i = 0; i < RIG_PATIENCE_MS && front->n_closed == 0; i++)
        front_round(front, 1);
}

void front_reach_target(struct front *front, const char *request)
{
    front_say(front, request);
    rig_accept(front->rig);
    assert_true(rig_receive(front->rig) > 0);
}

void front_target_say(struct front *front, const char *data)
{
    assert_int_equal(send(front->rig->target_fd, data, strlen(data), MSG_NOSIGNAL), strlen(data));
    front_settle(front);
}

void front_exchange_again(struct front *front, bool anew)
{
    unsigned n_closed = front->n_closed;

    front->n_data = 0;
    front_say(front, "GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
    if (anew)
        rig_accept(front->rig);
    rig_expect_request(front->rig, "GET /again HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nagain");
    assert_int_equal(front->n_closed, n_closed);
}

struct client *front_client(struct front *front)
{
    return CONTAINER_OF(frontend_clients(front->frontend)->list.next, struct client, link);
}

void front_make_slow(struct front *front)
{
    int bytes = 1; /* the kernel's least */

    assert_int_equal(setsockopt(front_client(front)->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

enum client_phase front_phase(struct front *front)
{
    return front_client(front)->phase;
}

void front_fill(char *body, size_t n)
{
    for (size_t i = 0; i < n; i++)
        body[i] = (char)('a' + i / 251 % 26);
}
