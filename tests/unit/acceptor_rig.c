#include "tests/unit/acceptor_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int acceptor_rig_serve(struct acceptor_host *host, const struct listener_config *config, int fd,
                              const struct peer *peer, struct admission_pass pass)
{
    struct acceptor_rig *rig = CONTAINER_OF(host, struct acceptor_rig, host);

    assert_ptr_equal(config, &rig->listener);
    assert_int_equal(peer->uid, geteuid());
    assert_true(rig->n_served < MOST_SERVED);
    rig->served[rig->n_served] = fd;
    rig->passes[rig->n_served++] = pass;
    return 0;
}

bool acceptor_rig_let_go_idle(struct acceptor_host *host, struct admission_pass *pass)
{
    (void)pass;
    CONTAINER_OF(host, struct acceptor_rig, host)->n_let_go++;
    return true;
}

static void acceptor_rig_on_place(struct admission_desk *desk)
{
    struct acceptor_rig *rig = desk->closure;

    acceptor_look(&rig->acceptor);
}

/* A new listening socket of the rig's name. */
int acceptor_rig_listen(struct acceptor_rig *rig)
{
    static unsigned n_made;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int n;

    rig->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(rig->address.sun_path + 1, sizeof(rig->address.sun_path) - 1, "porthole-acceptor-%d-%u", getpid(),
                 n_made++);
    rig->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    assert_int_equal(bind(fd, (struct sockaddr *)&rig->address, rig->address_bytes), 0);
    assert_int_equal(listen(fd, BACKLOG), 0);
    return fd;
}

int acceptor_rig_connect(struct acceptor_rig *rig)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&rig->address, rig->address_bytes), 0);
    return fd;
}

void acceptor_rig_open(struct acceptor_rig *rig, uint32_t connections)
{
    memset(rig, 0, sizeof(*rig));
    rig->listener = (struct listener_config){.name = "front",
                                             .backlog = BACKLOG,
                                             .limit_connections = connections,
                                             .limit_connections_per_uid = connections};
    rig->host = (struct acceptor_host){.loop = loop_new(), .metrics = &rig->metrics, .serve = acceptor_rig_serve};
    assert_non_null(rig->host.loop);
    admission_house_init(&rig->house);
    assert_int_equal(admission_init(&rig->admission, &rig->house, &rig->listener, 1), 0);
    rig->admission.desks[0].told = acceptor_rig_on_place;
    rig->admission.desks[0].closure = rig;
    acceptor_init(&rig->acceptor, &rig->host, &rig->listener, &rig->admission.desks[0]);
    acceptor_change(&rig->acceptor, acceptor_rig_listen(rig));
}

void acceptor_rig_let_go(struct acceptor_rig *rig, size_t i)
{
    close(rig->served[i]);
    admission_leave(&rig->passes[i]);
}

void acceptor_rig_close(struct acceptor_rig *rig)
{
    for (size_t i = 0; i < rig->n_served; i++)
        if (rig->passes[i].desk)
            acceptor_rig_let_go(rig, i);
    acceptor_deinit(&rig->acceptor);
    assert_int_equal(rig->admission.n_clients, 0);
    admission_deinit(&rig->admission);
    admission_house_deinit(&rig->house);
    loop_free(rig->host.loop);
}

void acceptor_rig_turn(struct acceptor_rig *rig)
{
    for (int i = 0; loop_run_once(rig->host.loop, 0) > 0; i++)
        assert_true(i < PATIENCE_ROUNDS);
}

void acceptor_rig_expect(struct acceptor_rig *rig, size_t n_served, enum acceptor_state state)
{
    acceptor_rig_turn(rig);
    assert_int_equal(rig->n_served, n_served);
    assert_int_equal(rig->acceptor.state, state);
}

void acceptor_rig_expect_waiting(struct acceptor_rig *rig, size_t n)
{
    assert_int_equal(waiting_room_n_guests(&rig->acceptor.room), n);
}
