/* Who waits for a target to appear: when it goes to see, when it gives up, and what a lookout tells it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/hold.h"

#define HOLD_MS 10000

struct waiter {
    struct hold_guest guest;
    unsigned n_again;
    enum outcome outcome; /* of the end; OUTCOME_PENDING before */
    enum outcome found;   /* when it came back and its time was over; OUTCOME_PENDING before */
    bool satisfied;       /* goes to see and does not come back */
};

struct bench {
    char directory[64], path[128];
    struct loop *loop;
    struct lookout lookout;
    struct endpoint_config endpoint;
    struct hold hold;
    struct failure why;
    uint64_t hold_ms;
};

static struct bench *bench;

static bool come(struct waiter *waiter)
{
    return hold_receive(&bench->hold, &waiter->guest, bench->hold_ms, &bench->why);
}

static void on_again(struct hold_guest *guest)
{
    struct waiter *waiter = CONTAINER_OF(guest, struct waiter, guest);

    waiter->n_again++;
    if (!waiter->satisfied && !come(waiter))
        waiter->found = bench->why.outcome;
}

static void on_over(struct hold_guest *guest, const struct failure *why)
{
    CONTAINER_OF(guest, struct waiter, guest)->outcome = why->outcome;
}

static void begin(struct waiter *waiter)
{
    *waiter = (struct waiter){.outcome = OUTCOME_PENDING, .found = OUTCOME_PENDING};
    assert_true(come(waiter));
}

/* At least that long. Returns how many visits it is time for at most: seven in the first 127 ms, then one in 100. */
static unsigned pass_ms(uint64_t ms)
{
    struct instant begun = instant_now(), end = instant_add_ms(begun, ms);

    while (instant_before(instant_now(), end))
        assert_true(loop_run_once(bench->loop, 1) >= 0);
    return 8 + (unsigned)(instant_elapsed_us(begun, instant_now()) / 100000);
}

/* An event, and the timer that it sets: however slow the machine is, a few rounds do. */
static void look(void)
{
    for (int i = 0; i < 5; i++)
        assert_true(loop_run_once(bench->loop, 1) >= 0);
}

static int setup(void **state)
{
    struct hold_config config;

    bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    snprintf(bench->directory, sizeof(bench->directory), "/tmp/porthole-unit-XXXXXX");
    assert_non_null(mkdtemp(bench->directory));
    snprintf(bench->path, sizeof(bench->path), "%s/run/app.sock", bench->directory);
    bench->loop = loop_new();
    bench->hold_ms = HOLD_MS;
    lookout_init(&bench->lookout, bench->loop);
    bench->endpoint.address = (struct address){.kind = ADDRESS_UNIX, .name = bench->path, .text = bench->path};
    config = (struct hold_config){bench->loop, &bench->lookout, on_again, on_over};
    assert_int_equal(hold_init(&bench->hold, &config, &bench->endpoint, 1), 0);
    failure_set(&bench->why, OUTCOME_TARGET_ABSENT, 0, NULL);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    char directory[96];

    (void)state;
    assert_false(hold_has_guests(&bench->hold));
    assert_int_equal(bench->lookout.fd, -1); /* nobody looks out */
    hold_deinit(&bench->hold);
    lookout_deinit(&bench->lookout);
    loop_free(bench->loop);
    unlink(bench->path);
    snprintf(directory, sizeof(directory), "%s/run", bench->directory);
    rmdir(directory);
    assert_int_equal(rmdir(bench->directory), 0);
    free(bench);
    return 0;
}

/* After 1, 2, 4 and so on milliseconds: ten times or so in a second, not a thousand. */
static void test_hold_goes_to_see_less_and_less_often(void **state)
{
    struct waiter waiter;
    unsigned most;

    (void)state;
    begin(&waiter);
    most = pass_ms(500);
    assert_in_range(waiter.n_again, 2, most);
    hold_dismiss(&waiter.guest);
}

static void test_hold_sends_one_of_many(void **state)
{
    struct waiter waiters[50];
    unsigned n = 0, most;

    (void)state;
    for (int i = 0; i < 50; i++)
        begin(&waiters[i]);
    most = pass_ms(200);
    for (int i = 0; i < 50; i++) {
        n += waiters[i].n_again;
        hold_dismiss(&waiters[i].guest);
    }
    assert_in_range(n, 2, most);
}

static void test_hold_lets_all_go_when_one_has_found_it(void **state)
{
    struct waiter waiters[50];

    (void)state;
    for (int i = 0; i < 50; i++) {
        begin(&waiters[i]);
        waiters[i].satisfied = true;
    }
    hold_open(&bench->hold);
    look();
    for (int i = 0; i < 50; i++)
        assert_int_equal(waiters[i].n_again, 1);
}

static void test_hold_ends_with_what_was_found_last(void **state)
{
    struct waiter waiter;

    (void)state;
    bench->hold_ms = 400;
    begin(&waiter);
    failure_set(&bench->why, OUTCOME_TARGET_REFUSED, 0, NULL);
    assert_int_equal(waiter.outcome, OUTCOME_PENDING);
    (void)pass_ms(bench->hold_ms + 50);
    while (hold_has_guests(&bench->hold))
        (void)pass_ms(10);
    if (waiter.outcome == OUTCOME_PENDING) /* it was on its way when its time was over */
        assert_int_equal(waiter.found, OUTCOME_TARGET_REFUSED);
    else
        assert_int_equal(waiter.outcome, OUTCOME_TARGET_REFUSED);
    assert_false(come(&waiter)); /* its time is over, once for all */
}

static void test_hold_is_told_of_what_appears(void **state)
{
    struct waiter waiter;
    char directory[96];
    unsigned before;
    int fd;

    (void)state;
    begin(&waiter);
    (void)pass_ms(400); /* the pauses are long by now */
    before = waiter.n_again;
    snprintf(directory, sizeof(directory), "%s/run", bench->directory);
    assert_int_equal(mkdir(directory, 0755), 0);
    look();
    assert_true(waiter.n_again > before);
    (void)pass_ms(400);
    before = waiter.n_again;
    fd = open(bench->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    look();
    assert_true(waiter.n_again > before);
    hold_dismiss(&waiter.guest);
}

/* The process was stopped for longer than the guests wait: what had appeared by then is seen first. */
static void test_hold_sends_who_was_told_before_its_time_is_seen_to_be_over(void **state)
{
    struct waiter waiters[2];
    char directory[96];

    (void)state;
    bench->hold_ms = 100;
    begin(&waiters[0]);
    begin(&waiters[1]);
    snprintf(directory, sizeof(directory), "%s/run", bench->directory);
    assert_int_equal(mkdir(directory, 0755), 0);
    usleep(300000);
    look();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waiters[i].n_again, 1);
        assert_int_equal(waiters[i].outcome, OUTCOME_PENDING); /* what it has found this time is its answer */
    }
}

static void on_found(struct source *source, uint32_t events)
{
    (void)events;
    loop_remove(source);
    hold_open(&bench->hold);
}

/* As much when what is seen first is that one has got there. */
static void test_hold_lets_go_before_their_time_is_seen_to_be_over(void **state)
{
    struct waiter waiters[2];
    struct source found = {0};
    int fd = eventfd(1, EFD_CLOEXEC);

    (void)state;
    bench->hold_ms = 100;
    begin(&waiters[0]);
    begin(&waiters[1]);
    assert_int_equal(loop_add(bench->loop, &found, fd, EPOLLIN, on_found), 0);
    usleep(300000);
    look();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waiters[i].n_again, 1);
        assert_int_equal(waiters[i].outcome, OUTCOME_PENDING);
    }
    close(fd);
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_hold_goes_to_see_less_and_less_often),
        BENCH_TEST(test_hold_sends_one_of_many),
        BENCH_TEST(test_hold_lets_all_go_when_one_has_found_it),
        BENCH_TEST(test_hold_ends_with_what_was_found_last),
        BENCH_TEST(test_hold_is_told_of_what_appears),
        BENCH_TEST(test_hold_sends_who_was_told_before_its_time_is_seen_to_be_over),
        BENCH_TEST(test_hold_lets_go_before_their_time_is_seen_to_be_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
