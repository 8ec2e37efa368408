/* How endpoints do: ejection, the probe, checks. Time is what the tests say it is. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/base/log.h"
#include "proxy/reach/standing.h"

#define MOST_ENDPOINTS 4

/* One target's endpoints, and a clock. */
struct rig {
    struct standings standings;
    struct standing *all[MOST_ENDPOINTS];
    size_t n;
    struct instant now;
};

static const struct eject_config rules = {.failures = 3, .for_ms = 1000, .most = 500};

static void rig_start(struct rig *rig, size_t n, const struct eject_config *eject)
{
    *rig = (struct rig){.n = n, .now = {1000000000}};
    standings_init(&rig->standings, "app");
    standings_configure(&rig->standings, true, eject);
    for (size_t i = 0; i < n; i++) {
        const char key[] = {(char)('a' + i), '\0'};

        rig->all[i] = standing_find(&rig->standings, key, key);
        assert_non_null(rig->all[i]);
    }
    standings_choose(&rig->standings, rig->all, n);
}

static void rig_stop(struct rig *rig)
{
    for (size_t i = 0; i < rig->n; i++)
        standing_unref(rig->all[i]);
    assert_true(standings_are_good(&rig->standings));
    standings_deinit(&rig->standings);
}

static void pass(struct rig *rig, uint64_t ms)
{
    rig->now = instant_add_ms(rig->now, ms);
}

/* One after the other, each begun now. */
static void flunk(struct rig *rig, size_t i, int n)
{
    for (int k = 0; k < n; k++) {
        pass(rig, 1);
        standing_fail(rig->all[i], STANDING_BY_SILENCE, "silent", rig->now, rig->now);
    }
}

static void succeed(struct rig *rig, size_t i)
{
    pass(rig, 1);
    standing_succeed(rig->all[i], rig->now, rig->now);
}

static enum standing_rank rank(const struct rig *rig, size_t i)
{
    return standing_rank(rig->all[i], rig->now);
}

static void test_standing_out_says_why_and_since_when(void **state UNUSED)
{
    struct instant since;
    struct rig rig;

    rig_start(&rig, 2, &rules);
    assert_int_equal(rig.all[0]->changed.ns, 0);
    flunk(&rig, 0, 3);
    since = rig.now;
    assert_string_equal(rig.all[0]->reason, "silent");
    assert_int_equal(rig.all[0]->changed.ns, since.ns);
    /* Down, too: it was out already. */
    pass(&rig, 10);
    standing_check(rig.all[0], 1, 1, "refused", rig.now);
    assert_string_equal(rig.all[0]->reason, "refused");
    assert_int_equal(rig.all[0]->changed.ns, since.ns);
    pass(&rig, 10);
    standing_check(rig.all[0], 1, 1, NULL, rig.now);
    assert_string_equal(rig.all[0]->reason, "");
    assert_int_equal(rig.all[0]->changed.ns, rig.now.ns);
    rig_stop(&rig);
}

static void test_standing_failures_in_a_row_eject_for_a_time(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    flunk(&rig, 0, 2);
    succeed(&rig, 0);
    flunk(&rig, 0, 2);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    assert_true(standings_are_good(&rig.standings));
    flunk(&rig, 0, 1);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    assert_false(standings_are_good(&rig.standings));
    pass(&rig, 999);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    assert_false(standing_claim(rig.all[0], rig.now));
    pass(&rig, 1);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    rig_stop(&rig);
}

static void test_standing_what_began_before_says_nothing(void **state)
{
    struct instant before;
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    before = rig.now;
    flunk(&rig, 0, 3);
    standing_succeed(rig.all[0], before, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    pass(&rig, 1000);
    /* It is nobody's probe that fails now. */
    standing_fail(rig.all[0], STANDING_BY_SILENCE, "silent", before, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    assert_true(standing_claim(rig.all[0], rig.now));
    succeed(&rig, 0);
    assert_true(standings_are_good(&rig.standings));
    for (int i = 0; i < 5; i++)
        standing_fail(rig.all[0], STANDING_BY_SILENCE, "silent", before, rig.now);
    assert_true(standings_are_good(&rig.standings));
    rig_stop(&rig);
}

/* 1, 2, 4, 8 and 10 times. */
static void test_standing_ejections_grow_and_are_forgiven(void **state)
{
    static const uint64_t times[] = {1, 2, 4, 8, 10, 10};
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    flunk(&rig, 0, 3);
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
        pass(&rig, times[i] * 1000 - 1);
        assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
        pass(&rig, 1);
        assert_true(standing_claim(rig.all[0], rig.now));
        if (i + 1 < ARRAY_LENGTH(times))
            standing_fail(rig.all[0], STANDING_BY_SILENCE, "silent", rig.now, rig.now);
    }
    succeed(&rig, 0);
    pass(&rig, 300000);
    flunk(&rig, 0, 3);
    pass(&rig, 999);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    pass(&rig, 1);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    rig_stop(&rig);
}

static void test_standing_ejections_are_five_minutes_at_most_unless_the_first_is_longer(void **state)
{
    const struct eject_config long_ones[] = {{1, 60000, 1000, false}, {1, 600000, 1000, false}};
    const uint64_t most_ms[] = {300000, 600000};

    (void)state;
    for (size_t k = 0; k < ARRAY_LENGTH(long_ones); k++) {
        struct rig rig;

        rig_start(&rig, 2, &long_ones[k]);
        flunk(&rig, 0, 1);
        for (int i = 0; i < 20; i++) {
            pass(&rig, most_ms[k]);
            assert_true(standing_claim(rig.all[0], rig.now));
            standing_fail(rig.all[0], STANDING_BY_SILENCE, "silent", rig.now, rig.now);
        }
        pass(&rig, most_ms[k] - 1);
        assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
        rig_stop(&rig);
    }
}

static void test_standing_one_probe_at_a_time_and_a_lost_one_is_replaced(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    flunk(&rig, 0, 3);
    pass(&rig, 1000);
    assert_true(standing_claim(rig.all[0], rig.now));
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    assert_false(standing_claim(rig.all[0], rig.now));
    pass(&rig, 1000);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    assert_true(standing_claim(rig.all[0], rig.now));
    standing_unclaim(rig.all[0]);
    assert_true(standing_claim(rig.all[0], rig.now));
    rig_stop(&rig);
}

static void test_standing_most_of_them_and_the_last_good_one_are_left(void **state)
{
    static const struct {
        size_t n, n_ejected;
        uint32_t most;
    } rows[] = {{1, 0, 1000}, {2, 1, 500},  {2, 1, 1000}, {3, 1, 500},
                {4, 2, 500},  {4, 3, 1000}, {4, 0, 249},  {4, 0, 0}};

    (void)state;
    for (size_t k = 0; k < ARRAY_LENGTH(rows); k++) {
        const struct eject_config eject = {.failures = 2, .for_ms = 1000, .most = rows[k].most};
        size_t n_ejected = 0;
        struct rig rig;

        rig_start(&rig, rows[k].n, &eject);
        for (size_t i = 0; i < rows[k].n; i++)
            flunk(&rig, i, 4);
        for (size_t i = 0; i < rows[k].n; i++)
            n_ejected += rank(&rig, i) == STANDING_EJECTED;
        assert_int_equal(n_ejected, rows[k].n_ejected);
        rig_stop(&rig);
    }
}

static void test_standing_checks_take_down_and_up(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    for (int i = 0; i < 2; i++)
        standing_check(rig.all[0], 2, 3, "status 500", rig.now);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    for (int i = 0; i < 2; i++)
        standing_check(rig.all[0], 2, 3, "status 500", rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    standing_check(rig.all[0], 2, 3, "status 500", rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_DOWN);
    /* The last good one is not ejected. */
    flunk(&rig, 1, 9);
    assert_int_equal(rank(&rig, 1), STANDING_GOOD);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_DOWN);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    assert_true(standings_are_good(&rig.standings));
    rig_stop(&rig);
}

/* One that answers its checks all the while stays ejected: they do not see what exchanges see. */
static void test_standing_checks_end_an_ejection_whose_cause_they_see(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    for (int i = 0; i < 5; i++)
        standing_check(rig.all[0], 2, 3, NULL, rig.now);
    flunk(&rig, 0, 3);
    for (int i = 0; i < 5; i++)
        standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    standing_check(rig.all[0], 2, 3, "refused", rig.now);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    for (int i = 0; i < 3; i++) {
        pass(&rig, 1);
        standing_fail(rig.all[0], STANDING_BY_CONNECT, "refused", rig.now, rig.now);
    }
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    rig_stop(&rig);
}

static void test_standing_without_eject_nothing_is_ejected(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    flunk(&rig, 0, 3);
    standings_configure(&rig.standings, false, &rules);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    flunk(&rig, 0, 9);
    assert_true(standings_are_good(&rig.standings));
    rig_stop(&rig);
}

static void test_standing_is_found_by_its_key(void **state)
{
    struct standing *again;
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    again = standing_find(&rig.standings, "b", "b");
    assert_ptr_equal(again, rig.all[1]);
    standing_unref(again);
    rig_stop(&rig);
}

/* ---- other rules ---- */

/* Those of generations before are no reason to eject the last good one of this. */
static void test_standing_only_those_of_the_newest_generation_are_counted(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 3, &(struct eject_config){.failures = 3, .for_ms = 1000, .most = 1000});
    standings_choose(&rig.standings, rig.all, 2);
    flunk(&rig, 0, 3);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    flunk(&rig, 1, 3);
    assert_int_equal(rank(&rig, 1), STANDING_GOOD);
    rig_stop(&rig);
}

static void test_standing_shorter_ejections_end_sooner(void **state)
{
    struct eject_config shorter = {.failures = 3, .for_ms = 200, .most = 500};
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    flunk(&rig, 0, 3);
    pass(&rig, 300);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    standings_configure(&rig.standings, true, &shorter);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    /* It is not ejected any longer by rules of longer ones. */
    flunk(&rig, 0, 1);
    standings_configure(&rig.standings, true, &rules);
    assert_int_equal(rank(&rig, 0), STANDING_EJECTED);
    pass(&rig, 500);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    rig_stop(&rig);
}

/* As many in a row as the new rules ask for, however many there have been by those of before. */
static void test_standing_checks_count_by_the_rules_there_are(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, 2, &rules);
    for (int i = 0; i < 4; i++)
        standing_check(rig.all[0], 2, 9, "bad", rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    standing_check(rig.all[0], 2, 3, "bad", rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_DOWN);
    for (int i = 0; i < 4; i++)
        standing_check(rig.all[0], 9, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_DOWN);
    standing_check(rig.all[0], 2, 3, NULL, rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    standing_check(rig.all[0], 2, 1, "bad", rig.now);
    assert_int_equal(rank(&rig, 0), STANDING_DOWN);
    standing_uncheck(rig.all[0]);
    assert_int_equal(rank(&rig, 0), STANDING_GOOD);
    rig_stop(&rig);
}

/* ---- threads ---- */

#define N_THREADS 4
#define N_ROUNDS 2000

struct race {
    struct rig *rig;
    pthread_barrier_t *barrier;
    bool won[N_ROUNDS];
};

/* Each round the ejection has just ended, and everybody wants to be its probe; who is ends it, or begins the next. */
static void *race_run(void *closure)
{
    struct race *race = closure;
    struct standing *standing = race->rig->all[0];
    struct instant now = race->rig->now;

    for (int i = 0; i < N_ROUNDS; i++) {
        now = instant_add_ms(now, 20000);
        pthread_barrier_wait(race->barrier);
        race->won[i] = standing_rank(standing, now) == STANDING_GOOD && standing_claim(standing, now);
        pthread_barrier_wait(race->barrier);
        if (race->won[i])
            standing_fail(standing, STANDING_BY_SILENCE, "silent", now, now);
        else
            standing_succeed(race->rig->all[1], now, now);
    }
    return NULL;
}

static void test_standing_of_all_threads_one_is_the_probe(void **state)
{
    static struct race races[N_THREADS];
    pthread_t threads[N_THREADS];
    pthread_barrier_t barrier;
    struct rig rig;

    (void)state;
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    rig_start(&rig, 2, &rules);
    flunk(&rig, 0, 3);
    pthread_barrier_init(&barrier, NULL, N_THREADS);
    for (int k = 0; k < N_THREADS; k++) {
        races[k] = (struct race){.rig = &rig, .barrier = &barrier};
        assert_int_equal(pthread_create(&threads[k], NULL, race_run, &races[k]), 0);
    }
    for (int k = 0; k < N_THREADS; k++)
        pthread_join(threads[k], NULL);
    pthread_barrier_destroy(&barrier);
    for (int i = 0; i < N_ROUNDS; i++) {
        int n_won = 0;

        for (int k = 0; k < N_THREADS; k++)
            n_won += races[k].won[i];
        assert_int_equal(n_won, 1);
    }
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standing_out_says_why_and_since_when),
        cmocka_unit_test(test_standing_failures_in_a_row_eject_for_a_time),
        cmocka_unit_test(test_standing_what_began_before_says_nothing),
        cmocka_unit_test(test_standing_ejections_grow_and_are_forgiven),
        cmocka_unit_test(test_standing_ejections_are_five_minutes_at_most_unless_the_first_is_longer),
        cmocka_unit_test(test_standing_one_probe_at_a_time_and_a_lost_one_is_replaced),
        cmocka_unit_test(test_standing_most_of_them_and_the_last_good_one_are_left),
        cmocka_unit_test(test_standing_checks_take_down_and_up),
        cmocka_unit_test(test_standing_checks_end_an_ejection_whose_cause_they_see),
        cmocka_unit_test(test_standing_without_eject_nothing_is_ejected),
        cmocka_unit_test(test_standing_is_found_by_its_key),
        cmocka_unit_test(test_standing_only_those_of_the_newest_generation_are_counted),
        cmocka_unit_test(test_standing_shorter_ejections_end_sooner),
        cmocka_unit_test(test_standing_checks_count_by_the_rules_there_are),
        cmocka_unit_test(test_standing_of_all_threads_one_is_the_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
