/* The steps of a stop: what is called when, and what hastens it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/log.h"
#include "proxy/stop.h"
#include "tests/unit/state_walk.h"

#define DELAY_MS 40
#define DRAIN_MS 60000

struct rig {
    struct stop stop;
    struct loop *loop;
    char steps[16];   /* a letter for each that was called */
    uint64_t wait_ms; /* for those who are connecting */
    uint64_t deadline_ms;
};

static void rig_add(const struct stop *stop, char letter)
{
    struct rig *rig = CONTAINER_OF(stop, struct rig, stop);
    size_t n = strlen(rig->steps);

    assert_true(n + 1 < sizeof(rig->steps));
    rig->steps[n] = letter;
}

static void rig_on_leave(struct stop *stop)
{
    rig_add(stop, 'l');
}

static uint64_t rig_on_refuse(struct stop *stop)
{
    rig_add(stop, 'r');
    return CONTAINER_OF(stop, struct rig, stop)->wait_ms;
}

static void rig_on_drain(struct stop *stop, uint64_t deadline_ms)
{
    rig_add(stop, 'd');
    CONTAINER_OF(stop, struct rig, stop)->deadline_ms = deadline_ms;
}

static void rig_on_cut(struct stop *stop)
{
    rig_add(stop, 'c');
}

static void rig_on_tell(const struct stop *stop)
{
    rig_add(stop, 't');
}

static const struct stop_host rig_host = {
    .leave = rig_on_leave, .refuse = rig_on_refuse, .drain = rig_on_drain, .cut = rig_on_cut, .tell = rig_on_tell};

static void rig_open(struct rig *rig)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    *rig = (struct rig){.loop = loop_new()};
    assert_non_null(rig->loop);
    stop_init(&rig->stop, rig->loop, &rig_host);
}

static void rig_close(struct rig *rig)
{
    stop_deinit(&rig->stop);
    loop_free(rig->loop);
}

static void rig_wait(struct rig *rig, int ms)
{
    usleep((useconds_t)ms * 1000);
    assert_true(loop_run_once(rig->loop, 0) >= 0);
}

static void test_stop_without_a_delay_drains_at_once(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_false(stop_has_begun(&rig.stop));
    stop_ask(&rig.stop, "test", 0, DRAIN_MS);
    assert_string_equal(rig.steps, "trd");
    assert_int_equal(rig.deadline_ms, DRAIN_MS);
    assert_true(stop_has_begun(&rig.stop));
    assert_string_equal(stop_result(&rig.stop), "drained");
    rig_close(&rig);
}

static void test_stop_gives_those_time_who_are_connecting(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig.wait_ms = DELAY_MS;
    stop_ask(&rig.stop, "test", 0, DRAIN_MS);
    assert_true(loop_run_once(rig.loop, 0) >= 0);
    assert_string_equal(rig.steps, "tr");
    rig_wait(&rig, DELAY_MS + 2 * LOOP_TICK_MS);
    assert_string_equal(rig.steps, "trd");
    assert_in_range(rig.deadline_ms, 1, DRAIN_MS - DELAY_MS);
    rig_close(&rig);
    rig_open(&rig);
    rig.wait_ms = DELAY_MS;
    stop_ask(&rig.stop, "test", 0, DRAIN_MS);
    stop_ask(&rig.stop, "test", 0, DRAIN_MS);
    assert_string_equal(rig.steps, "trdc");
    rig_close(&rig);
    rig_open(&rig);
    rig.wait_ms = DELAY_MS;
    stop_ask(&rig.stop, "test", 0, 0); /* no longer than there is */
    assert_string_equal(rig.steps, "trd");
    rig_close(&rig);
}

static void test_stop_with_a_delay_drains_when_it_is_over(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    assert_true(loop_run_once(rig.loop, 0) >= 0);
    assert_string_equal(rig.steps, "l");
    assert_true(stop_has_begun(&rig.stop));
    rig_wait(&rig, DELAY_MS + 2 * LOOP_TICK_MS);
    assert_string_equal(rig.steps, "ltrd");
    rig_close(&rig);
}

static void test_stop_each_further_wish_hastens_it_by_a_step(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    assert_string_equal(rig.steps, "ltrd");
    assert_int_equal(rig.deadline_ms, DRAIN_MS);
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    assert_string_equal(rig.steps, "ltrdc");
    assert_string_equal(stop_result(&rig.stop), "hastened");
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    rig_wait(&rig, DELAY_MS + 2 * LOOP_TICK_MS);
    assert_string_equal(rig.steps, "ltrdc");
    rig_close(&rig);
}

/* A successor serves, and then a supervisor stops the process: what is under way keeps its time. */
static void test_stop_first_wish_hastens_nothing_that_drains_by_itself(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    stop_ask_to_drain(&rig.stop, "test", DRAIN_MS);
    assert_string_equal(rig.steps, "trd");
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    assert_string_equal(rig.steps, "trd");
    assert_string_equal(stop_result(&rig.stop), "drained");
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    assert_string_equal(rig.steps, "trdc");
    rig_close(&rig);
}

/* A page is asked before a supervisor stops the process. */
static void test_stop_first_wish_hastens_nothing_that_leaves_already(void **state)
{
    static const uint64_t delays_ms[] = {0, DELAY_MS};
    static const char *const steps[][3] = {{"trd", "trd", "trdc"}, {"l", "l", "ltrd"}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig rig;

        rig_open(&rig);
        stop_ask_to_leave(&rig.stop, "test", delays_ms[i], DRAIN_MS);
        stop_ask_to_leave(&rig.stop, "test", delays_ms[i], DRAIN_MS);
        assert_string_equal(rig.steps, steps[i][0]);
        stop_ask(&rig.stop, "test", delays_ms[i], DRAIN_MS);
        stop_ask_to_leave(&rig.stop, "test", delays_ms[i], DRAIN_MS);
        assert_string_equal(rig.steps, steps[i][1]);
        stop_ask(&rig.stop, "test", delays_ms[i], DRAIN_MS);
        assert_string_equal(rig.steps, steps[i][2]);
        rig_close(&rig);
    }
}

/* Who does not want the delay does not want to cut anything either, however often it asks. */
static void test_stop_asked_to_drain_does_so_and_no_more(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    stop_ask_to_drain(&rig.stop, "test", DRAIN_MS);
    stop_ask_to_drain(&rig.stop, "test", DRAIN_MS);
    assert_string_equal(rig.steps, "trd");
    rig_close(&rig);
    rig_open(&rig);
    stop_ask(&rig.stop, "test", DELAY_MS, DRAIN_MS);
    stop_ask_to_drain(&rig.stop, "test", DRAIN_MS);
    stop_ask_to_drain(&rig.stop, "test", DRAIN_MS);
    assert_string_equal(rig.steps, "ltrd");
    rig_wait(&rig, DELAY_MS + 2 * LOOP_TICK_MS);
    assert_string_equal(rig.steps, "ltrd");
    rig_close(&rig);
}

static void test_stop_that_took_all_its_time_says_so(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    stop_ask(&rig.stop, "test", 0, DELAY_MS);
    rig_wait(&rig, DELAY_MS + 2 * LOOP_TICK_MS);
    assert_string_equal(stop_result(&rig.stop), "deadline");
    rig_close(&rig);
}

static unsigned walk(unsigned from, unsigned to)
{
    struct stop stop = {.step = (enum stop_step)from};

    stop_move(&stop, (enum stop_step)to);
    return stop.step;
}

static void test_stop_makes_every_move_of_its_table_and_no_other(void **state)
{
    (void)state;
    state_walk(&stop_machine, walk,
               "SERVING: LEAVING REFUSING\n"
               "LEAVING: REFUSING\n"
               "REFUSING: DRAINING\n"
               "DRAINING: CUTTING\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_without_a_delay_drains_at_once),
        cmocka_unit_test(test_stop_gives_those_time_who_are_connecting),
        cmocka_unit_test(test_stop_with_a_delay_drains_when_it_is_over),
        cmocka_unit_test(test_stop_each_further_wish_hastens_it_by_a_step),
        cmocka_unit_test(test_stop_first_wish_hastens_nothing_that_drains_by_itself),
        cmocka_unit_test(test_stop_first_wish_hastens_nothing_that_leaves_already),
        cmocka_unit_test(test_stop_asked_to_drain_does_so_and_no_more),
        cmocka_unit_test(test_stop_that_took_all_its_time_says_so),
        cmocka_unit_test(test_stop_makes_every_move_of_its_table_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
