/* Timers: when they fire, in which order, and what their callbacks may do. */
#include <stdlib.h>

#include "tests/unit/loop_rig.h"

static void run_until_fired(int n)
{
    for (int i = 0; n_probes_fired < n; i++) {
        assert_true(loop_run_once(loop, 1000000000) >= 0);
        assert_true(i < 1000000);
    }
}

static void test_timer_order_is_that_of_the_deadlines(void **state)
{
    static const uint64_t ms[] = {300, 40, 0, 8, 20000, 41, 1000};
    static const int order[] = {4, 2, 0, 1, 6, 2, 5};
    struct probe probes[ARRAY_LENGTH(ms)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(ms); i++) {
        probe_init(&probes[i], probe_fired);
        probe_arm(&probes[i], ms[i]);
    }
    run_until_fired(ARRAY_LENGTH(ms));
    for (size_t i = 0; i < ARRAY_LENGTH(ms); i++) {
        assert_int_equal(probes[i].n_fired, 1);
        /* 40 and 41 ms may share a tick, and then their order is free. */
        assert_in_range(probes[i].order, order[i], order[i] + (order[i] == 2));
    }
}

static void test_timer_armed_again_fires_once_at_the_last_deadline(void **state)
{
    struct probe later;
    struct probe sooner;

    (void)state;
    probe_init(&later, probe_fired);
    probe_init(&sooner, probe_fired);
    probe_arm(&later, 8);
    probe_arm(&later, 5000);
    probe_arm(&sooner, 5000);
    probe_arm(&sooner, 8);
    run_until_fired(2);
    assert_int_equal(sooner.order, 0);
    assert_int_equal(later.order, 1);
    assert_int_equal(loop_run_once(loop, 100000), 0);
    assert_int_equal(n_probes_fired, 2);
}

static void test_timer_disarmed_does_not_fire(void **state)
{
    struct probe probe;

    (void)state;
    probe_init(&probe, probe_fired);
    timer_disarm(&probe.timer);
    probe_arm(&probe, 8);
    assert_true(timer_armed(&probe.timer));
    timer_disarm(&probe.timer);
    timer_disarm(&probe.timer);
    assert_false(timer_armed(&probe.timer));
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(probe.n_fired, 0);
    probe_arm(&probe, 8);
    run_until_fired(1);
}

static void probe_disarms_victim(struct timer *timer)
{
    probe_fired(timer);
    timer_disarm(&probe_of(timer)->victim->timer);
}

static void test_timer_disarmed_by_another_of_the_same_tick_does_not_fire(void **state)
{
    struct probe probes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        probe_init(&probes[i], probe_disarms_victim);
        probes[i].victim = &probes[1 - i];
        probe_arm(&probes[i], 100);
    }
    run_until_fired(1);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_probes_fired, 1);
}

static void probe_postpones_victim(struct timer *timer)
{
    probe_fired(timer);
    if (probe_of(timer)->victim->n_fired == 0)
        probe_arm(probe_of(timer)->victim, 100);
}

static void test_timer_postponed_by_another_of_the_same_tick_fires_later(void **state)
{
    struct probe probes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        probe_init(&probes[i], probe_postpones_victim);
        probes[i].victim = &probes[1 - i];
        probe_arm(&probes[i], 100);
    }
    run_until_fired(2);
    assert_true(probes[0].due.ns != probes[1].due.ns);
}

static void probe_frees_both(struct timer *timer)
{
    probe_fired(timer);
    timer_disarm(&probe_of(timer)->victim->timer);
    free(probe_of(timer)->victim);
    free(probe_of(timer));
}

static void test_timer_callback_may_free_itself_and_another(void **state)
{
    struct probe *probes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        probes[i] = malloc(sizeof(*probes[i]));
        assert_non_null(probes[i]);
        probe_init(probes[i], probe_frees_both);
    }
    for (int i = 0; i < 2; i++) {
        probes[i]->victim = probes[1 - i];
        probe_arm(probes[i], 100);
    }
    run_until_fired(1);
    assert_int_equal(loop_run_once(loop, 1000), 0);
}

static void probe_arms_itself(struct timer *timer)
{
    probe_fired(timer);
    probe_arm(probe_of(timer), 0);
}

static void test_timer_armed_with_zero_in_its_callback_does_not_spin(void **state)
{
    struct probe probe;
    struct instant begin = loop_now(loop);

    (void)state;
    probe_init(&probe, probe_arms_itself);
    probe_arm(&probe, 0);
    for (int i = 1; i <= 10; i++)
        assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(probe.n_fired, 10);
    assert_true(loop_now(loop).ns - begin.ns >= 9 * LOOP_TICK_MS * UINT64_C(1000000));
    timer_disarm(&probe.timer);
}

static void test_timer_armed_with_zero_on_the_very_tick_fires_at_the_next(void **state)
{
    struct probe probe;

    (void)state;
    virtual_ns += LOOP_TICK_MS * UINT64_C(1000000) - virtual_ns % (LOOP_TICK_MS * UINT64_C(1000000));
    assert_int_equal(loop_run_once(loop, 0), 0);
    probe_init(&probe, probe_fired);
    probe_arm(&probe, 0);
    assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(loop_now(loop).ns - probe.due.ns, LOOP_TICK_MS * UINT64_C(1000000));
}

/* Spans of every level of the wheel, armed, moved and disarmed at random, against the deadline each must keep. */
static void test_timer_random_spans_keep_their_deadlines(void **state)
{
    enum { N_PROBES = 400, N_STEPS = 20000 };
    static struct probe probes[N_PROBES];
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < N_PROBES; i++)
        probe_init(&probes[i], probe_fired);
    for (int step = 0; step < N_STEPS; step++) {
        struct probe *probe = &probes[(unsigned)rand_r(&seed) % N_PROBES];
        unsigned bits = 1 + (unsigned)rand_r(&seed) % 40;
        uint64_t ms = ((uint64_t)(unsigned)rand_r(&seed) << 16 ^ (unsigned)rand_r(&seed)) & ((UINT64_C(1) << bits) - 1);

        if (rand_r(&seed) % 4 == 0)
            timer_disarm(&probe->timer);
        else
            probe_arm(probe, ms);
        assert_true(loop_run_once(loop, rand_r(&seed) % 3 ? 0 : rand_r(&seed) % 100000) >= 0);
        for (int i = 0; i < N_PROBES; i++) {
            if (timer_armed(&probes[i].timer))
                assert_true(loop_now(loop).ns < probes[i].due.ns + LOOP_TICK_MS * UINT64_C(1000000));
        }
    }
    assert_true(n_probes_fired > N_STEPS / 20);
}

static void test_timer_of_endless_span_neither_fires_nor_overflows(void **state)
{
    struct probe probe;

    (void)state;
    probe_init(&probe, probe_fired);
    timer_arm(loop, &probe.timer, UINT64_MAX);
    assert_int_equal(loop_run_once(loop, 2000000000), 0);
    assert_true(timer_armed(&probe.timer));
    timer_disarm(&probe.timer);
}

static void test_timer_survives_a_jump_over_many_slots(void **state)
{
    static const uint64_t ms[] = {4, 500, 70000, 5000000};
    struct probe probes[ARRAY_LENGTH(ms)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(ms); i++) {
        probe_init(&probes[i], probe_fired);
        probe_arm(&probes[i], ms[i]);
        /* Late by what the loop was busy with. */
        probes[i].due = instant_add_ms(loop_now(loop), 3600000);
    }
    virtual_ns += UINT64_C(3600000) * 1000000;
    assert_int_equal(loop_run_once(loop, 0), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(probes[i].order, i);
    timer_disarm(&probes[3].timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timer_order_is_that_of_the_deadlines),
        LOOP_TEST(test_timer_armed_again_fires_once_at_the_last_deadline),
        LOOP_TEST(test_timer_disarmed_does_not_fire),
        LOOP_TEST(test_timer_disarmed_by_another_of_the_same_tick_does_not_fire),
        LOOP_TEST(test_timer_postponed_by_another_of_the_same_tick_fires_later),
        LOOP_TEST(test_timer_callback_may_free_itself_and_another),
        LOOP_TEST(test_timer_armed_with_zero_in_its_callback_does_not_spin),
        LOOP_TEST(test_timer_armed_with_zero_on_the_very_tick_fires_at_the_next),
        LOOP_TEST(test_timer_random_spans_keep_their_deadlines),
        LOOP_TEST(test_timer_of_endless_span_neither_fires_nor_overflows),
        LOOP_TEST(test_timer_survives_a_jump_over_many_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
