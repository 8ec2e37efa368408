/* Admission: who is let in, who is told of a place, and what two workers do to the counts at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "proxy/listen/admission.h"

#define N_ROUNDS 100000
#define N_UIDS 5

static struct listener_config listener_with(uint32_t connections, uint32_t per_uid)
{
    return (struct listener_config){
        .name = "front", .limit_connections = connections, .limit_connections_per_uid = per_uid};
}

struct rig {
    struct listener_config listener;
    struct admission_house house;
    struct admission admission;
};

static void rig_open(struct rig *rig, uint32_t connections, uint32_t per_uid, size_t n_workers)
{
    rig->listener = listener_with(connections, per_uid);
    admission_house_init(&rig->house);
    assert_int_equal(admission_init(&rig->admission, &rig->house, &rig->listener, n_workers), 0);
}

static void rig_close(struct rig *rig)
{
    assert_int_equal(rig->admission.n_clients, 0);
    assert_int_equal(rig->house.n_clients, 0);
    assert_int_equal(rig->admission.n_users, 0);
    admission_deinit(&rig->admission);
    admission_house_deinit(&rig->house);
}

static bool come_in(struct admission *admission, size_t worker, uid_t uid, struct admission_pass *ret_pass)
{
    return admission_enter(&admission->desks[worker], uid, false, ret_pass) == ADMISSION_IN;
}

static void leave_all(struct admission_pass *passes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        admission_leave(&passes[i]);
}

/* One user has limits.connections exactly, whatever it is, and another still finds a place. */
static void test_admission_one_user_has_the_limit_and_the_next_finds_a_place(void **state)
{
    static const uint32_t limits[] = {1, 2, 3, 7, 8, 9, 64, 100};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        struct admission_pass passes[100], other, none;
        struct rig rig;

        rig_open(&rig, limits[i], 1000, 1);
        for (uint32_t n = 0; n < limits[i]; n++)
            assert_true(come_in(&rig.admission, 0, 1, &passes[n]));
        assert_int_equal(admission_enter(&rig.admission.desks[0], 1, false, &none), ADMISSION_FULL);
        assert_int_equal(admission_look(&rig.admission, 1), ADMISSION_FULL);
        assert_int_equal(admission_look(&rig.admission, 2), ADMISSION_IN);
        assert_true(come_in(&rig.admission, 0, 2, &other));
        assert_int_equal(admission_n_of(&rig.admission, 1), limits[i]);
        assert_int_equal(admission_n_of(&rig.admission, 2), 1);
        assert_int_equal(admission_n_of(&rig.admission, 3), 0);
        leave_all(passes, limits[i]);
        admission_leave(&other);
        rig_close(&rig);
    }
}

static void test_admission_full_listener_takes_nobody_until_one_leaves(void **state)
{
    struct admission_pass passes[3], other;
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 2, 1);
    for (uid_t uid = 0; uid < 3; uid++)
        assert_true(come_in(&rig.admission, 0, uid, &passes[uid]));
    for (uid_t uid = 3; uid < 6; uid++)
        assert_int_equal(admission_enter(&rig.admission.desks[0], uid, false, &other), ADMISSION_FULL);
    assert_int_equal(rig.admission.n_clients, admission_most(&rig.listener));
    admission_leave(&passes[0]);
    assert_true(come_in(&rig.admission, 0, 3, &passes[0]));
    assert_int_equal(admission_enter(&rig.admission.desks[0], 0, false, &other), ADMISSION_FULL);
    leave_all(passes, 3);
    rig_close(&rig);
}

static void test_admission_pass_given_back_twice_counts_once(void **state)
{
    struct admission_pass first, second, stolen;
    struct rig rig;

    (void)state;
    rig_open(&rig, 3, 2, 1);
    assert_true(come_in(&rig.admission, 0, 1, &first));
    assert_true(come_in(&rig.admission, 0, 1, &second));
    stolen = admission_steal(&first);
    admission_leave(&first); /* holds none any more */
    assert_int_equal(rig.admission.n_clients, 2);
    admission_leave(&stolen);
    admission_leave(&stolen);
    assert_int_equal(rig.admission.n_clients, 1);
    admission_leave(&second);
    rig_close(&rig);
}

/* A listener that is being left takes all who wait in its backlog. */
static void test_admission_full_listener_takes_anyway_who_must_be_taken(void **state)
{
    struct admission_pass passes[4], none;
    struct rig rig;

    (void)state;
    rig_open(&rig, 1, 1, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(admission_enter(&rig.admission.desks[0], 1, true, &passes[i]), ADMISSION_IN);
    assert_int_equal(rig.admission.n_clients, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(admission_enter(&rig.admission.desks[0], 2, false, &none), ADMISSION_FULL);
        admission_leave(&passes[i]);
    }
    assert_int_equal(admission_enter(&rig.admission.desks[0], 2, false, &passes[0]), ADMISSION_IN);
    admission_leave(&passes[0]);
    admission_leave(&passes[3]);
    rig_close(&rig);
}

static void test_admission_user_at_the_limit_does_not_keep_others_out(void **state)
{
    struct admission_pass passes[3], of_another, none;
    struct rig rig;

    (void)state;
    rig_open(&rig, 100, 3, 1);
    for (int i = 0; i < 3; i++)
        assert_true(come_in(&rig.admission, 0, 0, &passes[i]));
    for (int i = 0; i < 5; i++)
        assert_false(come_in(&rig.admission, 0, 0, &none));
    assert_int_equal(rig.admission.n_clients, 3); /* who was turned away is not counted */
    assert_true(come_in(&rig.admission, 0, 1, &of_another));
    admission_leave(&passes[0]);
    assert_true(come_in(&rig.admission, 0, 0, &passes[0]));
    assert_false(come_in(&rig.admission, 0, 0, &none));
    assert_int_equal(rig.admission.n_users, 2);
    for (int i = 0; i < 3; i++)
        admission_leave(&passes[i]);
    admission_leave(&of_another);
    rig_close(&rig);
}

/* The place of a user who left is taken by another: everybody's count stays with them. */
static void test_admission_many_users_come_and_go_in_any_order(void **state)
{
    static struct admission_pass passes[100][2];
    struct admission_pass none;
    struct rig rig;

    (void)state;
    rig_open(&rig, 1000, 2, 1);
    for (uid_t uid = 0; uid < 100; uid++) {
        assert_true(come_in(&rig.admission, 0, uid, &passes[uid][0]));
        if (uid % 2 == 0)
            assert_true(come_in(&rig.admission, 0, uid, &passes[uid][1]));
    }
    assert_int_equal(rig.admission.n_users, 100);
    for (uid_t uid = 1; uid < 100; uid += 2)
        admission_leave(&passes[uid][0]);
    assert_int_equal(rig.admission.n_users, 50);
    for (uid_t uid = 0; uid < 100; uid += 2)
        assert_false(come_in(&rig.admission, 0, uid, &none));
    for (uid_t uid = 1; uid < 100; uid += 2) {
        assert_true(come_in(&rig.admission, 0, uid, &passes[uid][0]));
        assert_true(come_in(&rig.admission, 0, uid, &passes[uid][1]));
        assert_false(come_in(&rig.admission, 0, uid, &none));
    }
    for (uid_t uid = 100; uid-- > 0;) {
        admission_leave(&passes[uid][0]);
        admission_leave(&passes[uid][1]);
    }
    rig_close(&rig);
}

static void test_admission_who_does_not_tell_is_nobody_of_whom_there_may_be_many(void **state)
{
    struct admission_pass passes[10], none;
    struct rig rig;

    (void)state;
    rig_open(&rig, 10, 1, 1);
    for (int i = 0; i < 10; i++)
        assert_true(come_in(&rig.admission, 0, ADMISSION_NOBODY, &passes[i]));
    assert_int_equal(admission_enter(&rig.admission.desks[0], ADMISSION_NOBODY, false, &none), ADMISSION_FULL);
    leave_all(passes, 10);
    rig_close(&rig);
}

/* ---- who is told ---- */

static void count_told(struct admission_desk *desk)
{
    unsigned *n_told = desk->closure;

    (*n_told)++;
}

static void test_admission_place_given_back_is_told_to_all_who_wait_and_to_them_once(void **state)
{
    struct admission_pass passes[2];
    unsigned n_told[3] = {0};
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 2, 3);
    for (size_t i = 0; i < 3; i++) {
        rig.admission.desks[i].told = count_told;
        rig.admission.desks[i].closure = &n_told[i];
    }
    assert_true(come_in(&rig.admission, 0, 1, &passes[0]));
    assert_true(come_in(&rig.admission, 1, 1, &passes[1]));
    admission_wait(&rig.admission.desks[0], ADMISSION_FULL);
    admission_wait(&rig.admission.desks[0], ADMISSION_FULL);
    admission_wait(&rig.admission.desks[1], ADMISSION_FULL);
    admission_wait(&rig.admission.desks[2], ADMISSION_FULL);
    admission_stop_waiting(&rig.admission.desks[2]);
    admission_stop_waiting(&rig.admission.desks[2]);
    assert_int_equal(rig.house.n_waiting, 2);
    admission_leave(&passes[1]);
    assert_int_equal(n_told[0], 1);
    assert_int_equal(n_told[1], 1);
    assert_int_equal(n_told[2], 0);
    assert_int_equal(rig.house.n_waiting, 0);
    admission_leave(&passes[0]);
    assert_int_equal(n_told[0], 1);
    rig_close(&rig);
}

/* ---- who could make room ---- */

static struct instant at_ms(uint64_t ms)
{
    return (struct instant){(UINT64_C(1000000) + ms) * 1000000};
}

static void test_admission_longest_idle_is_first_until_it_is_busy(void **state)
{
    const enum admission_verdict why = ADMISSION_NO_DESCRIPTORS;
    struct admission_pass passes[3];
    struct admission_desk *desk;
    struct rig rig;

    (void)state;
    rig_open(&rig, 3, 2, 1);
    desk = &rig.admission.desks[0];
    for (uid_t i = 0; i < 3; i++) {
        assert_true(come_in(&rig.admission, 0, i % 2, &passes[i]));
        admission_idle(&passes[i], at_ms(i));
        admission_idle(&passes[i], at_ms(i + 100)); /* it was already */
    }
    assert_null(admission_longest(desk, 0, why, at_ms(ADMISSION_IDLE_LEAST_MS - 1)));
    assert_int_equal(admission_idle_in_ms(desk, at_ms(ADMISSION_IDLE_LEAST_MS - 1)), 2);
    assert_int_equal(admission_idle_in_ms(desk, at_ms(ADMISSION_IDLE_LEAST_MS)), 0);
    assert_ptr_equal(admission_longest(desk, 0, why, at_ms(ADMISSION_IDLE_LEAST_MS)), &passes[0]);
    assert_ptr_equal(admission_longest(desk, 1, ADMISSION_USER_FULL, at_ms(3)), &passes[1]);
    assert_null(admission_longest(desk, 2, ADMISSION_USER_FULL, at_ms(1000)));
    admission_busy(&passes[0]);
    admission_busy(&passes[0]);
    assert_int_equal(desk->idle_since_ns, at_ms(1).ns);
    assert_ptr_equal(admission_longest(desk, 0, why, at_ms(1000)), &passes[1]);
    admission_leave(&passes[1]);
    assert_ptr_equal(admission_longest(desk, 0, why, at_ms(1000)), &passes[2]);
    admission_leave(&passes[2]);
    assert_int_equal(desk->idle_since_ns, UINT64_MAX);
    assert_int_equal(admission_idle_in_ms(desk, at_ms(0)), ADMISSION_NOBODY_IS_IDLE);
    assert_null(admission_longest(desk, 0, why, at_ms(1000)));
    admission_leave(&passes[0]);
    rig_close(&rig);
}

/* Whoever finds no place takes that of its own user, or of one who has at least two more: of who has the most. */
static void test_admission_richest_makes_room(void **state)
{
    struct admission_pass passes[10];
    struct admission_desk *desk;
    struct rig rig;

    (void)state;
    rig_open(&rig, 10, 10, 1);
    desk = &rig.admission.desks[0];
    for (uid_t i = 0; i < 10; i++) { /* user 1 has six, user 2 three, user 3 one */
        assert_true(come_in(&rig.admission, 0, i < 6 ? 1 : i < 9 ? 2 : 3, &passes[i]));
        if (i != 5)
            admission_idle(&passes[i], at_ms(i));
    }
    admission_busy(&passes[0]);
    assert_ptr_equal(admission_longest(desk, 4, ADMISSION_FULL, at_ms(1000)), &passes[1]);
    assert_ptr_equal(admission_longest(desk, 1, ADMISSION_FULL, at_ms(1000)), &passes[1]);
    for (int i = 1; i < 5; i++)
        admission_busy(&passes[i]);
    assert_ptr_equal(admission_longest(desk, 4, ADMISSION_FULL, at_ms(1000)), &passes[6]);
    assert_ptr_equal(admission_longest(desk, 3, ADMISSION_FULL, at_ms(1000)), &passes[6]);
    assert_ptr_equal(admission_longest(desk, 2, ADMISSION_FULL, at_ms(1000)), &passes[6]);
    assert_null(admission_longest(desk, 1, ADMISSION_FULL, at_ms(1000))); /* it has more than those who are idle */
    for (int i = 6; i < 9; i++)
        admission_busy(&passes[i]);
    assert_null(admission_longest(desk, 4, ADMISSION_FULL, at_ms(1000))); /* one is not two more than none */
    assert_ptr_equal(admission_longest(desk, 3, ADMISSION_FULL, at_ms(1000)), &passes[9]);
    assert_null(admission_longest(desk, 3, ADMISSION_FULL, at_ms(5)));
    leave_all(passes, 10);
    rig_close(&rig);
}

static void test_admission_asks_the_desk_of_the_longest_idle(void **state)
{
    struct admission_pass passes[3];
    struct admission_desk *desks, *longest = NULL;
    unsigned n_told[3] = {0};
    struct rig rig;

    (void)state;
    rig_open(&rig, 3, 3, 3);
    desks = rig.admission.desks;
    for (size_t i = 0; i < 3; i++) {
        desks[i].told = count_told;
        desks[i].closure = &n_told[i];
        assert_true(come_in(&rig.admission, i, 1, &passes[i]));
    }
    assert_int_equal(admission_ask(&desks[0], at_ms(0), &longest), ADMISSION_NOBODY_IS_IDLE);
    assert_false(admission_ask_for(&desks[0], 1));
    admission_idle(&passes[0], at_ms(10));
    assert_false(admission_ask_for(&desks[0], 1));
    admission_idle(&passes[1], at_ms(0));
    assert_int_equal(admission_ask(&desks[0], at_ms(20), &longest), ADMISSION_IDLE_LEAST_MS - 20 + 1);
    assert_null(longest);
    for (int i = 0; i < 2; i++) { /* asked twice, told once */
        assert_int_equal(admission_ask(&desks[0], at_ms(1000), &longest), 0);
        assert_ptr_equal(longest, &desks[1]);
        assert_true(desks[1].asked);
        assert_int_equal(n_told[1], 1);
    }
    /* One's own is let go by oneself. */
    assert_int_equal(admission_ask(&desks[1], at_ms(1000), &longest), 0);
    assert_ptr_equal(longest, &desks[1]);
    assert_int_equal(n_told[1], 1);
    assert_true(admission_ask_for(&desks[0], 7));
    assert_int_equal(n_told[1], 2);
    assert_int_equal(n_told[2], 0);
    assert_int_equal(desks[1].asked_for, 7);
    assert_true(desks[1].asked_by_user);
    leave_all(passes, 3);
    rig_close(&rig);
}

static void test_admission_yielded_place_is_another_s_its_descriptor_is_not(void **state)
{
    struct admission_pass first, second, third;
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 1, 1);
    rig.house.most_clients = 2;
    assert_true(come_in(&rig.admission, 0, 1, &first));
    admission_yield(&first);
    assert_true(come_in(&rig.admission, 0, 1, &second));
    assert_int_equal(rig.admission.n_clients, 1);
    assert_int_equal(rig.house.n_clients, 2);
    assert_false(admission_has_descriptor(&rig.admission));
    assert_int_equal(admission_enter(&rig.admission.desks[0], 2, false, &third), ADMISSION_NO_DESCRIPTORS);
    admission_leave(&first);
    assert_int_equal(rig.admission.n_clients, 1);
    assert_int_equal(rig.house.n_clients, 1);
    admission_leave(&second);
    rig_close(&rig);
}

/* The place goes from one user to the other, and is nobody's in between. */
static void test_admission_replaced_place_is_the_other_user_s(void **state)
{
    struct admission_pass old, other, none;
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 2, 1);
    rig.house.most_clients = 2;
    assert_true(come_in(&rig.admission, 0, 1, &old));
    assert_int_equal(admission_replace(&old, 2, &other), ADMISSION_IN);
    assert_int_equal(admission_n_of(&rig.admission, 1), 0);
    assert_int_equal(admission_n_of(&rig.admission, 2), 1);
    assert_int_equal(rig.admission.n_clients, 1);
    assert_int_equal(rig.house.n_clients, 2);
    assert_int_equal(admission_replace(&other, 3, &none), ADMISSION_NO_DESCRIPTORS);
    assert_int_equal(rig.admission.n_clients, 0);
    admission_leave(&old);
    admission_leave(&other);
    rig_close(&rig);
}

/* Whoever waits for a descriptor can use one of another listener's. */
static void test_admission_descriptor_given_back_is_told_to_other_listeners(void **state)
{
    struct admission other;
    struct admission_pass pass;
    unsigned n_told[2] = {0};
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 2, 1);
    assert_int_equal(admission_init(&other, &rig.house, &rig.listener, 2), 0);
    for (size_t i = 0; i < 2; i++) {
        other.desks[i].told = count_told;
        other.desks[i].closure = &n_told[i];
    }
    assert_true(come_in(&rig.admission, 0, 1, &pass));
    admission_wait(&other.desks[0], ADMISSION_NO_DESCRIPTORS);
    admission_wait(&other.desks[1], ADMISSION_FULL);
    admission_leave(&pass);
    assert_int_equal(n_told[0], 1);
    assert_int_equal(n_told[1], 0);
    admission_stop_waiting(&other.desks[1]);
    assert_int_equal(rig.house.n_waiting, 0);
    admission_deinit(&other);
    rig_close(&rig);
}

/* ---- another configuration ---- */

/* Lowered, it cuts nobody, and nobody else comes in until there are fewer; raised, whoever waits is told at once. */
static void test_admission_other_limits_are_for_those_who_come(void **state)
{
    struct listener_config lower = listener_with(1, 1), higher = listener_with(3, 3);
    struct admission_pass passes[3];
    unsigned n_told = 0;
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 2, 1);
    rig.admission.desks[0].told = count_told;
    rig.admission.desks[0].closure = &n_told;
    assert_true(come_in(&rig.admission, 0, 1, &passes[0]));
    assert_true(come_in(&rig.admission, 0, 1, &passes[1]));
    admission_limit(&rig.admission, &lower);
    assert_int_equal(rig.admission.n_clients, 2);
    assert_int_equal(admission_look(&rig.admission, 1), ADMISSION_FULL);
    admission_leave(&passes[1]);
    assert_int_equal(admission_look(&rig.admission, 1), ADMISSION_FULL);
    admission_wait(&rig.admission.desks[0], ADMISSION_FULL);
    admission_limit(&rig.admission, &higher);
    assert_int_equal(n_told, 1);
    assert_true(come_in(&rig.admission, 0, 1, &passes[1]));
    assert_true(come_in(&rig.admission, 0, 1, &passes[2]));
    assert_int_equal(admission_look(&rig.admission, 1), ADMISSION_FULL);
    leave_all(passes, 3);
    rig_close(&rig);
}

/* Until the last pass is back, be it one whose place is another's already. */
static void test_admission_that_is_retired_is_told_of_nothing_and_lives_until_its_last_pass_is_back(void **state)
{
    struct admission_pass pass, others;
    struct admission other;
    unsigned n_told = 0;
    struct rig rig;

    (void)state;
    rig_open(&rig, 2, 2, 1);
    assert_int_equal(admission_init(&other, &rig.house, &rig.listener, 1), 0);
    rig.admission.desks[0].told = count_told;
    rig.admission.desks[0].closure = &n_told;
    assert_true(admission_is_over(&rig.admission));
    assert_true(come_in(&rig.admission, 0, 1, &pass));
    assert_true(come_in(&other, 0, 1, &others));
    admission_wait(&rig.admission.desks[0], ADMISSION_NO_DESCRIPTORS);
    admission_retire(&rig.admission);
    admission_retire(&rig.admission);
    admission_leave(&others);
    assert_int_equal(n_told, 0);
    admission_stop_waiting(&rig.admission.desks[0]);
    admission_yield(&pass);
    assert_false(admission_is_over(&rig.admission));
    admission_leave(&pass);
    assert_true(admission_is_over(&rig.admission));
    admission_deinit(&other);
    rig_close(&rig);
}

/* ---- two workers ---- */

struct workers {
    struct rig rig;
    atomic_uint inside, inside_of[N_UIDS];
    atomic_bool broken;
    pthread_barrier_t start; /* or one is done before the other begins */
};

static void *worker_come_and_go(void *closure)
{
    struct workers *workers = closure;

    pthread_barrier_wait(&workers->start);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        struct admission_pass pass;
        uid_t uid = i % N_UIDS;

        if (!come_in(&workers->rig.admission, 0, uid, &pass))
            continue;
        if (atomic_fetch_add(&workers->inside, 1) >= admission_most(&workers->rig.listener) ||
            atomic_fetch_add(&workers->inside_of[uid], 1) >= workers->rig.listener.limit_connections_per_uid)
            atomic_store(&workers->broken, true);
        atomic_fetch_sub(&workers->inside_of[uid], 1);
        atomic_fetch_sub(&workers->inside, 1);
        admission_leave(&pass);
    }
    return NULL;
}

static void test_admission_two_workers_keep_its_limits_and_its_counts(void **state)
{
    static const struct {
        uint32_t connections, per_uid;
    } limits[] = {{1, 1}, {2, 1}, {3, 2}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        struct workers workers;
        pthread_t thread;

        memset(&workers, 0, sizeof(workers));
        rig_open(&workers.rig, limits[i].connections, limits[i].per_uid, 1);
        assert_int_equal(pthread_barrier_init(&workers.start, NULL, 2), 0);
        assert_int_equal(pthread_create(&thread, NULL, worker_come_and_go, &workers), 0);
        worker_come_and_go(&workers);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(atomic_load(&workers.broken));
        pthread_barrier_destroy(&workers.start);
        rig_close(&workers.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission_one_user_has_the_limit_and_the_next_finds_a_place),
        cmocka_unit_test(test_admission_full_listener_takes_nobody_until_one_leaves),
        cmocka_unit_test(test_admission_pass_given_back_twice_counts_once),
        cmocka_unit_test(test_admission_full_listener_takes_anyway_who_must_be_taken),
        cmocka_unit_test(test_admission_user_at_the_limit_does_not_keep_others_out),
        cmocka_unit_test(test_admission_many_users_come_and_go_in_any_order),
        cmocka_unit_test(test_admission_who_does_not_tell_is_nobody_of_whom_there_may_be_many),
        cmocka_unit_test(test_admission_place_given_back_is_told_to_all_who_wait_and_to_them_once),
        cmocka_unit_test(test_admission_longest_idle_is_first_until_it_is_busy),
        cmocka_unit_test(test_admission_asks_the_desk_of_the_longest_idle),
        cmocka_unit_test(test_admission_yielded_place_is_another_s_its_descriptor_is_not),
        cmocka_unit_test(test_admission_richest_makes_room),
        cmocka_unit_test(test_admission_replaced_place_is_the_other_user_s),
        cmocka_unit_test(test_admission_descriptor_given_back_is_told_to_other_listeners),
        cmocka_unit_test(test_admission_other_limits_are_for_those_who_come),
        cmocka_unit_test(test_admission_that_is_retired_is_told_of_nothing_and_lives_until_its_last_pass_is_back),
        cmocka_unit_test(test_admission_two_workers_keep_its_limits_and_its_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
