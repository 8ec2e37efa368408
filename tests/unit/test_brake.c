/* The brake: where its states begin and end, and how many clients each of them lets in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/listen/admission.h"
#include "proxy/listen/brake.h"
#include "tests/unit/state_walk.h"

#define MIB ((uint64_t)1 << 20)

static unsigned brake_step(unsigned from, unsigned to)
{
    struct brake brake = {.state = from};

    brake_move(&brake, (enum brake_state)to);
    return brake_state(&brake);
}

static void test_brake_states_follow_their_table(void **state UNUSED)
{
    state_walk(&brake_machine, brake_step, "OFF: SLOW FULL\nSLOW: OFF FULL\nFULL: OFF SLOW\n");
}

static struct memory_figures used(uint64_t percent)
{
    return (struct memory_figures){.used_bytes = percent * MIB, .limit_bytes = 100 * MIB};
}

static enum brake_state judge(enum brake_state state, uint64_t percent)
{
    struct memory_figures figures = used(percent);

    return brake_judge(state, &figures);
}

static void test_brake_judge_has_hysteresis(void **state UNUSED)
{
    assert_int_equal(judge(BRAKE_OFF, 64), BRAKE_OFF);
    assert_int_equal(judge(BRAKE_OFF, 65), BRAKE_SLOW);
    assert_int_equal(judge(BRAKE_SLOW, 60), BRAKE_SLOW);
    assert_int_equal(judge(BRAKE_SLOW, 59), BRAKE_OFF);
    assert_int_equal(judge(BRAKE_SLOW, 79), BRAKE_SLOW);
    assert_int_equal(judge(BRAKE_SLOW, 80), BRAKE_FULL);
    assert_int_equal(judge(BRAKE_FULL, 75), BRAKE_FULL);
    assert_int_equal(judge(BRAKE_FULL, 74), BRAKE_SLOW);
    assert_int_equal(judge(BRAKE_FULL, 59), BRAKE_OFF);
    assert_int_equal(judge(BRAKE_OFF, 120), BRAKE_FULL);
}

static void test_brake_without_a_limit_is_off(void **state UNUSED)
{
    const struct memory_figures none = {.limit_bytes = UINT64_MAX, .used_bytes = UINT64_MAX / 2};
    struct brake brake;

    assert_int_equal(brake_judge(BRAKE_FULL, &none), BRAKE_OFF);
    brake_init(&brake);
    brake_allow(&brake, 100000, brake_room(BRAKE_OFF, &none, 1), 16);
    assert_true(brake_lets_in(&brake, 1000000));
    brake_want_look(&brake);
}

/* As many as there is memory for if each takes all that it can, and a part of them where it is short. */
static void test_brake_room_is_what_is_left(void **state UNUSED)
{
    struct memory_figures little = used(5), much = used(72), most = used(79), over = used(130);

    assert_int_equal(brake_room(BRAKE_OFF, &little, MIB), 75);
    assert_int_equal(brake_room(BRAKE_SLOW, &much, MIB / 4), 4);
    assert_int_equal(brake_room(BRAKE_SLOW, &most, MIB), 1);
    assert_int_equal(brake_room(BRAKE_OFF, &little, 1000 * MIB), 1);
    assert_int_equal(brake_room(BRAKE_FULL, &over, 1), 0);
}

static void test_brake_lets_in_the_first_whatever_is_used(void **state UNUSED)
{
    struct memory_figures figures = used(97);
    struct brake brake;

    brake_init(&brake);
    brake_move(&brake, BRAKE_FULL);
    brake_allow(&brake, 500, 0, brake_least(&figures, MIB));
    assert_false(brake_lets_in(&brake, 499)); /* who leaves makes no room */
    assert_false(brake_lets_in(&brake, 25));
    assert_true(brake_lets_in(&brake, 24));
    assert_int_equal(brake_least(&figures, 50 * MIB), BRAKE_LEAST);
    brake_move(&brake, BRAKE_SLOW);
    brake_allow(&brake, 500, 2, 25);
    assert_true(brake_lets_in(&brake, 501));
    assert_false(brake_lets_in(&brake, 502));
}

static unsigned n_wanted;

static void on_want(struct brake *brake)
{
    assert_non_null(brake->closure);
    n_wanted++;
}

static void test_brake_wants_one_look_at_a_time(void **state UNUSED)
{
    struct brake brake;

    brake_init(&brake);
    brake.want = on_want;
    brake.closure = &brake;
    brake_want_look(&brake);
    brake_want_look(&brake);
    assert_int_equal(n_wanted, 1);
    brake.wanted = false;
    brake_want_look(&brake);
    assert_int_equal(n_wanted, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brake_states_follow_their_table),
        cmocka_unit_test(test_brake_judge_has_hysteresis),
        cmocka_unit_test(test_brake_without_a_limit_is_off),
        cmocka_unit_test(test_brake_room_is_what_is_left),
        cmocka_unit_test(test_brake_lets_in_the_first_whatever_is_used),
        cmocka_unit_test(test_brake_wants_one_look_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
