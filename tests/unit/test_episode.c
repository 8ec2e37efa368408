/* Episodes: few lines, however much happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/listen/episode.h"

static struct instant at_ms(uint64_t ms)
{
    return (struct instant){(UINT64_C(1000000) + ms) * 1000000};
}

static void test_episode_room_is_told_at_once_and_then_rarely_with_their_number(void **state)
{
    struct episode episode;

    (void)state;
    episode_init(&episode);
    assert_int_equal(episode_room(&episode, at_ms(0)), 1);
    for (uint64_t ms = 1; ms < EPISODE_LINE_MS; ms += 1000)
        assert_int_equal(episode_room(&episode, at_ms(ms)), 0);
    assert_int_equal(episode_room(&episode, at_ms(EPISODE_LINE_MS)), 11);
    assert_int_equal(episode_room(&episode, at_ms(EPISODE_LINE_MS + 1)), 0);
    episode_deinit(&episode);
}

static void test_episode_wait_is_told_when_it_begins_and_when_it_ends(void **state)
{
    struct episode episode;
    uint64_t ms = 0;

    (void)state;
    episode_init(&episode);
    assert_false(episode_calm(&episode, at_ms(0), &ms));
    assert_true(episode_wait(&episode, at_ms(0)));
    for (int i = 1; i < 100; i++)
        assert_false(episode_wait(&episode, at_ms((uint64_t)i * 1000)));
    assert_true(episode_calm(&episode, at_ms(100000), &ms));
    assert_int_equal(ms, 100000);
    assert_false(episode_calm(&episode, at_ms(100001), &ms));
    episode_deinit(&episode);
}

static void test_episode_that_begins_again_at_once_is_not_told_again(void **state)
{
    struct episode episode;
    uint64_t ms = 0;

    (void)state;
    episode_init(&episode);
    assert_true(episode_wait(&episode, at_ms(0)));
    assert_true(episode_calm(&episode, at_ms(10), &ms));
    for (uint64_t i = 0; i < 10; i++) {
        assert_false(episode_wait(&episode, at_ms(20 + 20 * i)));
        assert_false(episode_calm(&episode, at_ms(30 + 20 * i), &ms));
    }
    assert_true(episode_wait(&episode, at_ms(EPISODE_LINE_MS)));
    assert_true(episode_calm(&episode, at_ms(EPISODE_LINE_MS + 7), &ms));
    assert_int_equal(ms, 7);
    episode_deinit(&episode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_episode_room_is_told_at_once_and_then_rarely_with_their_number),
        cmocka_unit_test(test_episode_wait_is_told_when_it_begins_and_when_it_ends),
        cmocka_unit_test(test_episode_that_begins_again_at_once_is_not_told_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
