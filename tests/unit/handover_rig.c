#include "tests/unit/handover_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void on_shared(struct offer_host *host, bool shared)
{
    struct offered *rig = CONTAINER_OF(host, struct offered, offer_host);

    assert_int_not_equal(rig->shared, shared);
    rig->shared = shared;
    rig->n_shared++;
}

static void on_taken(struct offer_host *host, int successor)
{
    struct offered *rig = CONTAINER_OF(host, struct offered, offer_host);

    assert_true(successor >= 0);
    close(successor);
    assert_true(rig->shared);
    rig->n_taken++;
}

static void on_done(struct handover_host *host, struct handover *handover, bool left)
{
    struct offered *rig = CONTAINER_OF(host, struct offered, handover_host);

    assert_ptr_equal(handover, rig->handover);
    rig->n_left += left;
    rig->n_ended += !left;
}

static void on_lost(struct handover_host *host, struct handover *handover)
{
    (void)handover;
    CONTAINER_OF(host, struct offered, handover_host)->n_lost++;
}

int offered_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

int offered_connect(int listener_fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(getsockname(listener_fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

void offered_begin(struct offered *rig, int listener_fd)
{
    *rig = (struct offered){.loop = loop_new(),
                            .listener_fd = listener_fd,
                            .offer_host = {on_shared, on_taken},
                            .handover_host = {on_done, on_lost},
                            .ask_ms = AWAIT_PATIENCE_MS};
    assert_int_equal(handover_address_of(listener_fd, rig->address), 0);
    assert_int_equal(offer_new(rig->loop, &rig->offer_host, "app", listener_fd, -1, &rig->offer), 0);
}

void offered_open(struct offered *rig)
{
    offered_begin(rig, offered_listen());
    assert_int_equal(rig->offer->state, OFFER_OPEN);
    assert_true(rig->offer->fd >= 0);
}

void offered_end(struct offered *rig)
{
    handover_free(rig->handover);
    offer_free(rig->offer);
    close(rig->listener_fd);
    loop_free(rig->loop);
}

static void *offered_ask_main(void *closure)
{
    struct offered *rig = closure;

    rig->verdict = handover_ask(rig->address, instant_add_ms(instant_now(), rig->ask_ms), &rig->handover, &rig->error);
    atomic_store(&rig->asked, true);
    loop_wake(rig->loop);
    return NULL;
}

int offered_ask(struct offered *rig)
{
    atomic_store(&rig->asked, false);
    rig->error = (struct error)ERROR_INIT;
    assert_int_equal(pthread_create(&rig->thread, NULL, offered_ask_main, rig), 0);
    AWAIT(rig->loop, atomic_load(&rig->asked));
    pthread_join(rig->thread, NULL);
    return rig->verdict;
}

void offered_expect_error(const struct offered *rig, int code, const char *part)
{
    if (rig->verdict != code || rig->error.code != code || !strstr(rig->error.message, part))
        fail_msg("expected %d and '%s', got %d and '%s'", code, part, rig->verdict, rig->error.message);
}

void offered_take_over(struct offered *rig)
{
    int client, accepted;

    assert_int_equal(offered_ask(rig), HANDOVER_GOT);
    assert_int_equal(rig->offer->state, OFFER_GRANTED);
    assert_true(rig->shared);
    assert_true(fcntl(rig->handover->fds[HANDOVER_LISTENER], F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(rig->handover->fds[HANDOVER_LISTENER], F_GETFL) & O_NONBLOCK);
    assert_int_equal(handover_serve(rig->handover, rig->loop, &rig->handover_host), 0);
    AWAIT(rig->loop, rig->n_left == 1);
    assert_int_equal(rig->n_taken, 1);
    assert_int_equal(rig->offer->state, OFFER_LEFT);
    assert_int_equal(rig->offer->fd, -1);
    if (strncmp(rig->address, "tcp:", 4) != 0)
        return;
    client = offered_connect(rig->listener_fd);
    close(rig->listener_fd);
    rig->listener_fd = -1;
    accepted = accept(rig->handover->fds[HANDOVER_LISTENER], NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
}
