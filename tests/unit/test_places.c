/* A target's places: counted for all workers, and given to whoever waits, in whichever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/reach/commons.h"
#include "tests/unit/state_walk.h"

static unsigned n_told[2];

static void on_told(void *closure)
{
    ++*(unsigned *)closure;
}

struct fixture {
    struct commons commons;
    struct target_config config;
    struct commons_target *target;
    struct places *places;
    struct inbox *one, *two; /* of two workers */
};

static void configure(struct fixture *fixture, uint32_t most, uint32_t most_waiting)
{
    struct commons_target *old = fixture->target;

    fixture->config = (struct target_config){
        .name = (char *)(uintptr_t) "app", .connections_max = most, .connections_queue = most_waiting};
    fixture->target = commons_target(&fixture->commons, &fixture->config, false);
    assert_non_null(fixture->target);
    commons_configure(fixture->target, &fixture->config, false);
    commons_target_unref(old);
    fixture->places = &fixture->target->places;
}

static int setup(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof(fixture));
    memset(n_told, 0, sizeof(n_told));
    assert_int_equal(commons_init(&fixture.commons, 2), 0);
    fixture.one = &fixture.commons.inboxes[0];
    fixture.two = &fixture.commons.inboxes[1];
    inbox_listen(fixture.one, on_told, &n_told[0]);
    inbox_listen(fixture.two, on_told, &n_told[1]);
    configure(&fixture, 1, 8);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(places_n_held(fixture->places), 0);
    assert_false(places_any_wait(fixture->places));
    commons_target_unref(fixture->target);
    commons_deinit(&fixture->commons);
    return 0;
}

static void test_place_moves_as_its_table_says(void **state)
{
    (void)state;
    state_walk(&place_machine, NULL, "NONE: WAITING HELD\nWAITING: NONE GIVEN HELD\nGIVEN: NONE HELD\nHELD: NONE\n");
}

static struct place *take_given(struct inbox *inbox)
{
    struct list *link;

    inbox_open(inbox);
    link = inbox_take(inbox, INBOX_PLACES);
    return link ? CONTAINER_OF(link, struct place, link) : NULL;
}

static void test_places_are_the_process_s(void **state)
{
    struct fixture *fixture = *state;
    struct place a = {0}, b = {0};

    assert_int_equal(places_ask(fixture->places, &a, 1, fixture->one), PLACES_HELD);
    assert_int_equal(places_ask(fixture->places, &b, 1, fixture->two), PLACES_WAIT);
    assert_null(places_next(fixture->places, fixture->one));
    places_give_back(fixture->places, place_hand_on(&a));
    assert_null(places_next(fixture->places, fixture->one));
    assert_int_equal(n_told[1], 1);
    assert_int_equal(b.state, PLACE_GIVEN);
    assert_int_equal(places_n_held(fixture->places), 1);
    assert_ptr_equal(take_given(fixture->two), &b);
    place_accept(&b);
    places_withdraw(fixture->places, &b);
    assert_int_equal(n_told[0], 0);
}

static void test_places_of_the_same_worker_are_handed_over_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct place a = {0}, b = {0};

    assert_int_equal(places_ask(fixture->places, &a, 1, fixture->one), PLACES_HELD);
    assert_int_equal(places_ask(fixture->places, &b, 1, fixture->one), PLACES_WAIT);
    places_withdraw(fixture->places, &a);
    assert_ptr_equal(places_next(fixture->places, fixture->one), &b);
    assert_int_equal(b.state, PLACE_HELD);
    assert_null(places_next(fixture->places, fixture->one));
    places_withdraw(fixture->places, &b);
    assert_int_equal(n_told[0] + n_told[1], 0);
}

/* First come, first served, whatever the worker: the second finds its turn in the inbox before the third has it. */
static void test_places_are_given_in_their_order_across_workers(void **state)
{
    struct fixture *fixture = *state;
    struct place held = {0}, second = {0}, third = {0};

    assert_int_equal(places_ask(fixture->places, &held, 1, fixture->one), PLACES_HELD);
    assert_int_equal(places_ask(fixture->places, &second, 1, fixture->two), PLACES_WAIT);
    assert_int_equal(places_ask(fixture->places, &third, 1, fixture->one), PLACES_WAIT);
    places_withdraw(fixture->places, &held);
    assert_null(places_next(fixture->places, fixture->one));
    assert_int_equal(second.state, PLACE_GIVEN);
    assert_int_equal(third.state, PLACE_WAITING);
    places_withdraw(fixture->places, &second); /* while it is in the inbox */
    assert_null(take_given(fixture->two));
    assert_ptr_equal(places_next(fixture->places, fixture->one), &third);
    places_withdraw(fixture->places, &third);
}

static void test_places_let_so_many_wait_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct place held = {0}, waits = {0}, late = {0};

    configure(fixture, 1, 1);
    assert_int_equal(places_ask(fixture->places, &held, 1, fixture->one), PLACES_HELD);
    assert_int_equal(places_ask(fixture->places, &waits, 1, fixture->two), PLACES_WAIT);
    assert_int_equal(places_ask(fixture->places, &late, 1, fixture->one), PLACES_FULL);
    assert_int_equal(late.state, PLACE_NONE);
    places_withdraw(fixture->places, &waits);
    configure(fixture, 1, 0);
    assert_int_equal(places_ask(fixture->places, &late, 1, fixture->one), PLACES_FULL);
    places_withdraw(fixture->places, &held);
}

static void test_places_are_shared_between_users_of_all_workers(void **state)
{
    struct fixture *fixture = *state;
    struct place a[8] = {{0}}, other = {0};
    int n = 0;

    configure(fixture, 8, 8);
    while (places_ask(fixture->places, &a[n], 1, fixture->one) == PLACES_HELD)
        n++;
    assert_int_equal(n, 7); /* one stays free */
    assert_int_equal(places_ask(fixture->places, &other, 2, fixture->two), PLACES_HELD);
    places_withdraw(fixture->places, &other);
    for (int i = 0; i <= n; i++)
        places_withdraw(fixture->places, &a[i]);
}

static void test_commons_tells_those_who_have_the_target(void **state)
{
    struct fixture *fixture = *state;
    struct list one, two;

    commons_tell(fixture->target, SIZE_MAX);
    assert_int_equal(n_told[0] + n_told[1], 0);
    commons_join(fixture->target, 0, &one);
    commons_join(fixture->target, 1, &two);
    commons_tell(fixture->target, 0);
    commons_tell(fixture->target, 0);
    assert_int_equal(n_told[0], 0);
    assert_int_equal(n_told[1], 1);
    assert_ptr_equal(inbox_take(fixture->two, INBOX_TARGETS), &fixture->target->desks[1].link);
    assert_null(inbox_take(fixture->two, INBOX_TARGETS));
    inbox_open(fixture->two);
    commons_tell(fixture->target, SIZE_MAX);
    assert_int_equal(n_told[0], 1);
    assert_int_equal(n_told[1], 2);
    commons_leave(fixture->target, 0, &one);
    commons_leave(fixture->target, 1, &two);
    assert_null(inbox_take(fixture->one, INBOX_TARGETS));
    assert_null(inbox_take(fixture->two, INBOX_TARGETS));
}

static void test_commons_keep_a_target_as_long_as_somebody_has_it(void **state)
{
    struct fixture *fixture = *state;
    struct target_config more = fixture->config;
    struct commons_target *again;
    struct place held = {0}, late = {0};

    assert_int_equal(places_ask(fixture->places, &held, 1, fixture->one), PLACES_HELD);
    more.connections_max = 2;
    again = commons_target(&fixture->commons, &more, true);
    assert_ptr_equal(again, fixture->target);
    assert_int_equal(places_ask(fixture->places, &late, 1, fixture->one), PLACES_WAIT); /* it is not in effect */
    commons_configure(again, &more, true);
    assert_ptr_equal(places_next(fixture->places, fixture->one), &late); /* the newest limit counts */
    places_withdraw(fixture->places, &late);
    places_withdraw(fixture->places, &held);
    commons_target_unref(again);
}

static void test_site_sums_up_what_workers_have(void **state)
{
    struct fixture *fixture = *state;
    struct site *site = commons_site(&fixture->commons, "a"), *same = commons_site(&fixture->commons, "a");

    assert_ptr_equal(site, same);
    site->parts[0].n_idle = 2;
    site->parts[1].n_idle = 3;
    site->parts[1].n_busy = 4;
    assert_int_equal(site_n_idle(site), 5);
    assert_int_equal(site_n_busy(site), 4);
    site_unref(same);
    same = commons_site(&fixture->commons, "b");
    assert_ptr_not_equal(site, same);
    site_unref(site);
    site_unref(same);
}

/* ---- threads ---- */

#define HAMMER_TURNS 20000
#define HAMMER_PLACES 3

struct hammer {
    struct fixture *fixture;
    struct inbox *inbox;
    atomic_uint *n_in;
    bool failed;
};

/* Holds, or waits for, one place after the other; what is given to others goes by their inboxes. */
static void *hammer(void *closure)
{
    struct hammer *self = closure;
    struct places *places = self->fixture->places;

    for (int i = 0; i < HAMMER_TURNS; i++) {
        struct place place = {0}, *given;
        enum places_answer answer = places_ask(places, &place, (uid_t)(i % 3), self->inbox);

        while (answer == PLACES_WAIT && place.state != PLACE_HELD && i % 7 != 0)
            if ((given = take_given(self->inbox)))
                place_accept(given);
        if (place.state == PLACE_HELD) {
            if (atomic_fetch_add(self->n_in, 1) >= HAMMER_PLACES)
                self->failed = true;
            atomic_fetch_sub(self->n_in, 1);
        }
        places_withdraw(places, &place);
        if (places_next(places, self->inbox))
            self->failed = true; /* it waits for nothing */
    }
    return NULL;
}

static void test_places_under_threads_are_never_more_than_there_are(void **state)
{
    struct fixture *fixture = *state;
    struct hammer hammers[2];
    pthread_t threads[2];
    atomic_uint n_in = 0;

    configure(fixture, HAMMER_PLACES, 1);
    for (int i = 0; i < 2; i++) {
        hammers[i] = (struct hammer){fixture, i == 0 ? fixture->one : fixture->two, &n_in, false};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_false(hammers[i].failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_moves_as_its_table_says),
        cmocka_unit_test_setup_teardown(test_places_are_the_process_s, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_of_the_same_worker_are_handed_over_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_are_given_in_their_order_across_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_let_so_many_wait_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_are_shared_between_users_of_all_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commons_tells_those_who_have_the_target, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commons_keep_a_target_as_long_as_somebody_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_site_sums_up_what_workers_have, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_under_threads_are_never_more_than_there_are, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
