/* The keeper: sockets that are removed, replaced by a dead process's, or taken over. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/keeper.h"
#include "proxy/listen/publish.h"
#include "tests/unit/publish_fixture.h"
#include "tests/unit/state_walk.h"

#define PATIENCE_MS 20000

struct rig {
    struct fixture *fixture;
    struct loop *loop;
    struct listener *listener;
    struct keeper keeper;
    struct keeper_charge charge;
    unsigned n_republished, n_succeeded;
};

static void on_republished(struct keeper *keeper, struct keeper_charge *charge)
{
    struct rig *rig = CONTAINER_OF(keeper, struct rig, keeper);

    assert_ptr_equal(charge, &rig->charge);
    rig->n_republished++;
}

static void on_succeeded(struct keeper *keeper)
{
    CONTAINER_OF(keeper, struct rig, keeper)->n_succeeded++;
}

static void rig_open_with(struct rig *rig, struct fixture *fixture, struct listener *listener)
{
    *rig = (struct rig){.fixture = fixture, .loop = loop_new(), .listener = listener};
    rig->keeper = (struct keeper){.loop = rig->loop, .republished = on_republished, .succeeded = on_succeeded};
    keeper_start(&rig->keeper);
    keeper_add(&rig->keeper, &rig->charge, rig->listener);
}

static void rig_open(struct rig *rig, struct fixture *fixture)
{
    rig_open_with(rig, fixture, fixture_publish(&fixture->config, false));
}

static void rig_close(struct rig *rig)
{
    keeper_stop(&rig->keeper);
    keeper_stop(&rig->keeper);
    listener_free(rig->listener);
    loop_free(rig->loop);
}

/* Turns until the socket is in that state and one of the counters has been moved. */
static void rig_await(struct rig *rig, enum keeper_state state, const unsigned *counter, unsigned least)
{
    struct instant end = instant_add_ms(instant_now(), PATIENCE_MS);

    while (rig->charge.state != state || *counter < least) {
        assert_true(loop_run_once(rig->loop, 100) >= 0);
        assert_true(instant_before(instant_now(), end));
    }
}

static void test_keeper_removed_socket_is_published_again(void **state)
{
    struct rig rig;
    int fd;

    rig_open(&rig, *state);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(unlink(rig.fixture->path), 0);
        rig_await(&rig, KEEPER_OURS, &rig.n_republished, i);
        fd = fixture_connect(rig.fixture->path);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(rig.n_succeeded, 0);
    rig_close(&rig);
}

/* One that is not kept any more is left as it is; the others, in the same directory, are kept on. */
static void test_keeper_listeners_come_and_go(void **state)
{
    struct keeper_charge charge;
    struct listener_config config;
    struct listener *other;
    struct rig rig;

    rig_open(&rig, *state);
    config = fixture_config(fixture_path(rig.fixture, "other.sock"));
    other = fixture_publish(&config, false);
    keeper_add(&rig.keeper, &charge, other);
    keeper_remove(&rig.keeper, &charge);
    keeper_remove(&rig.keeper, &charge);
    assert_int_equal(unlink(config.bind.name), 0);
    assert_int_equal(unlink(rig.fixture->path), 0);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    assert_int_equal(listener_look(other), LISTENER_ABSENT);
    listener_free(other);
    rig_close(&rig);
}

static void test_keeper_socket_that_nobody_serves_is_replaced(void **state)
{
    struct rig rig;

    rig_open(&rig, *state);
    assert_int_equal(unlink(rig.fixture->path), 0);
    fixture_make_stale(rig.fixture->path);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    assert_int_equal(listener_look(rig.listener), LISTENER_OURS);
    rig_close(&rig);
}

static void test_keeper_successor_is_let_be_until_it_dies(void **state)
{
    struct listener *successor;
    struct rig rig;

    rig_open(&rig, *state);
    successor = fixture_publish(&rig.fixture->config, true);
    rig_await(&rig, KEEPER_TAKEN, &rig.n_succeeded, 1);
    assert_int_equal(rig.n_republished, 0);
    assert_int_equal(listener_look(successor), LISTENER_OURS);
    /* As when it is killed: its file stays. Nothing tells of that but a look. */
    listener_close(successor);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    listener_free(successor);
    rig_close(&rig);
}

/* Another process that publishes at the path, says so and stays until it is killed. */
static pid_t begin_successor(const struct listener_config *config)
{
    struct listener *successor = NULL;
    struct error error = ERROR_INIT;
    int said[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(said), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (listener_publish(config, true, &successor, &error) < 0 || write(said[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(said[1]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[0]);
    return pid;
}

/* The look of every other second would find it out, too: in half of the cases not within 1000 ms. */
static void test_keeper_successor_that_is_killed_is_replaced_at_once(void **state)
{
    struct rig rig;
    unsigned n_late = 0;

    rig_open(&rig, *state);
    for (unsigned i = 1; i <= 4; i++) {
        pid_t pid = begin_successor(&rig.fixture->config);
        struct instant begin;

        rig_await(&rig, KEEPER_TAKEN, &rig.n_succeeded, i);
        begin = instant_now();
        while (instant_before(instant_now(), instant_add_ms(begin, i * 200)))
            assert_true(loop_run_once(rig.loop, 20) >= 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        begin = instant_now();
        rig_await(&rig, KEEPER_OURS, &rig.n_republished, i);
        n_late += instant_elapsed_us(begin, instant_now()) > 300000;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    assert_true(n_late <= 1); /* a busy machine */
    rig_close(&rig);
}

/* Publishes what says it is somebody's who claimed the place `later_ns` after our listener. */
static struct listener *publish_claiming(struct rig *rig, int64_t later_ns)
{
    uint64_t since = rig->listener->claim.since + (uint64_t)later_ns;
    struct listener *listener = calloc(1, sizeof(*listener));
    struct publication publication;
    struct error error = ERROR_INIT;

    assert_int_equal(unlink(rig->fixture->path), 0);
    assert_int_equal(publish_unix(&rig->fixture->config, PUBLISH_OVER_NOBODY, since, NULL, &publication, &error), 0);
    *listener = (struct listener){.config = &rig->fixture->config,
                                  .fd = publication.fd,
                                  .directory_fd = publication.directory_fd,
                                  .file_name = publication.name,
                                  .device = publication.device,
                                  .inode = publication.inode,
                                  .claim = publication.claim,
                                  .published = true};
    return listener;
}

static void expect_succeeded(const struct listener *listener)
{
    int process = -1;

    assert_int_equal(listener_is_succeeded(listener, &process), 1);
    assert_true(process >= 0);
    close(process);
}

static void test_keeper_of_two_claims_the_later_one_wins(void **state)
{
    struct listener *other;
    struct rig rig;

    rig_open(&rig, *state);
    other = publish_claiming(&rig, -1);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    assert_int_equal(rig.n_succeeded, 0);
    /* The loser sees the same. */
    expect_succeeded(other);
    listener_free(other);
    other = publish_claiming(&rig, 1);
    rig_await(&rig, KEEPER_TAKEN, &rig.n_succeeded, 1);
    assert_int_equal(rig.n_republished, 1);
    listener_free(other);
    rig_close(&rig);
}

/* The clocks of two containers may differ: a takeover is later than what it takes over. */
static void test_keeper_takeover_is_later_whatever_the_clocks_say(void **state)
{
    struct listener *ahead, *successor;
    struct rig rig;

    rig_open(&rig, *state);
    ahead = publish_claiming(&rig, (int64_t)3600 * 1000000000);
    successor = fixture_publish(&rig.fixture->config, true);
    expect_succeeded(ahead);
    assert_true(claim_is_later(&successor->claim, &ahead->claim));
    listener_free(successor);
    listener_free(ahead);
    rig_close(&rig);
}

static int squat(void *argument)
{
    const char *path = argument;

    if (unlink(path) < 0)
        return 1;
    fixture_make_stale(path);
    return 0;
}

/* A socket of our own user that says nothing, or speaks of another place; and one of somebody else's. */
static void test_keeper_socket_of_anybody_else_is_replaced(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listener_config elsewhere;
    struct listener *other;
    struct rig rig;
    int fd;

    rig_open(&rig, *state);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path(rig.fixture, "target.sock"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(rename(address.sun_path, rig.fixture->path), 0);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    close(fd);

    elsewhere = fixture_config(fixture_path(rig.fixture, "other.sock"));
    other = fixture_publish(&elsewhere, false);
    assert_int_equal(rename(elsewhere.bind.name, rig.fixture->path), 0);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 2);
    listener_free(other);

    assert_int_equal(chmod(rig.fixture->directory, 0777), 0);
    assert_int_equal(fixture_as_stranger(squat, rig.fixture->path), 0);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 3);
    assert_int_equal(rig.n_succeeded, 0);
    rig_close(&rig);
}

/* The pauses grow to a second. */
static void test_keeper_name_that_is_removed_again_and_again_is_published_ever_less_often(void **state)
{
    struct instant end;
    struct rig rig;
    unsigned n;

    rig_open(&rig, *state);
    end = instant_add_ms(instant_now(), 3000);
    while (instant_before(instant_now(), end)) {
        unlink(rig.fixture->path);
        assert_true(loop_run_once(rig.loop, 5) >= 0);
    }
    assert_in_range(rig.n_republished, 2, 10);
    n = rig.n_republished;
    unlink(rig.fixture->path);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, n + 1);
    rig_close(&rig);
}

/* Names that come and go beside it wake us ten times a second, not as often as they come. */
static void test_keeper_busy_directory_is_looked_at_ten_times_a_second(void **state)
{
    struct instant end;
    unsigned n_woken = 0, n_names = 0;
    struct rig rig;

    rig_open(&rig, *state);
    end = instant_add_ms(instant_now(), 2000);
    for (; instant_before(instant_now(), end); n_names++) {
        const char *name = fixture_path(rig.fixture, "busy");
        int r;

        assert_int_equal(mkdir(name, 0700), 0);
        assert_int_equal(rmdir(name), 0);
        r = loop_run_once(rig.loop, 0);
        assert_true(r >= 0);
        n_woken += r > 0;
    }
    assert_in_range(n_woken, 1, 60); /* a look and the end of the rest, and one of the timer's now and then */
    assert_true(n_names > 200);
    assert_int_equal(rig.n_republished, 0);
    rig_close(&rig);
}

/* A successor whose backlog is full cannot be asked: it is waited for, but not for ever. */
static void test_keeper_full_backlog_is_given_time_to_empty(void **state)
{
    struct rig rig;
    int clients[8], n = 0, process = -1;
    struct instant begin;
    struct listener *successor;

    rig_open(&rig, *state);
    rig.fixture->config.backlog = 1;
    successor = fixture_publish(&rig.fixture->config, true);
    while (n < 8 && (clients[n] = fixture_connect(rig.fixture->path)) >= 0)
        n++;
    begin = instant_now();
    assert_int_equal(listener_is_succeeded(rig.listener, &process), -EAGAIN);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    assert_true(instant_elapsed_us(begin, instant_now()) >= 1900000);
    assert_int_equal(rig.n_succeeded, 0);
    while (n > 0)
        close(clients[--n]);
    listener_free(successor);
    rig_close(&rig);
}

/* What cannot be made again is tried again. */
static void test_keeper_lost_socket_comes_back_when_its_place_does(void **state)
{
    struct rig rig;

    rig_open(&rig, *state);
    assert_int_equal(unlink(rig.fixture->path), 0);
    assert_int_equal(mkdir(rig.fixture->path, 0700), 0);
    rig_await(&rig, KEEPER_LOST, &rig.n_succeeded, 0);
    assert_int_equal(rig.n_republished, 0);
    assert_int_equal(rmdir(rig.fixture->path), 0);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    rig_close(&rig);
}

/* Of an abstract name, which is its owner's by the socket alone. */
static void test_keeper_listener_that_was_given_away_is_ours_again_when_nobody_serves_it(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture->path + 1);
    struct rig rig;
    int successor;

    config.bind.kind = ADDRESS_ABSTRACT;
    rig_open_with(&rig, fixture, fixture_publish(&config, false));
    successor = fcntl(rig.listener->fd, F_DUPFD_CLOEXEC, 0);
    listener_close(rig.listener);
    keeper_give(&rig.keeper, &rig.charge, -1);
    rig_await(&rig, KEEPER_TAKEN, &rig.n_succeeded, 2); /* it has looked twice, and found it served */
    assert_int_equal(rig.listener->fd, -1);
    close(successor);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    assert_true(rig.listener->fd >= 0);
    rig_close(&rig);
}

static unsigned walk(unsigned from, unsigned to)
{
    struct keeper_charge charge = {.state = (enum keeper_state)from};

    keeper_move(&charge, (enum keeper_state)to);
    return charge.state;
}

static void test_keeper_makes_every_move_of_its_table_and_no_other(void **state)
{
    (void)state;
    state_walk(&keeper_machine, walk,
               "OURS: LOST TAKEN\n"
               "LOST: OURS TAKEN\n"
               "TAKEN: OURS LOST\n");
}

#define KEEPER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPER_TEST(test_keeper_removed_socket_is_published_again),
        KEEPER_TEST(test_keeper_listeners_come_and_go),
        KEEPER_TEST(test_keeper_socket_that_nobody_serves_is_replaced),
        KEEPER_TEST(test_keeper_successor_is_let_be_until_it_dies),
        KEEPER_TEST(test_keeper_successor_that_is_killed_is_replaced_at_once),
        KEEPER_TEST(test_keeper_of_two_claims_the_later_one_wins),
        KEEPER_TEST(test_keeper_takeover_is_later_whatever_the_clocks_say),
        KEEPER_TEST(test_keeper_socket_of_anybody_else_is_replaced),
        KEEPER_TEST(test_keeper_name_that_is_removed_again_and_again_is_published_ever_less_often),
        KEEPER_TEST(test_keeper_busy_directory_is_looked_at_ten_times_a_second),
        KEEPER_TEST(test_keeper_full_backlog_is_given_time_to_empty),
        KEEPER_TEST(test_keeper_lost_socket_comes_back_when_its_place_does),
        KEEPER_TEST(test_keeper_listener_that_was_given_away_is_ours_again_when_nobody_serves_it),
        cmocka_unit_test(test_keeper_makes_every_move_of_its_table_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
