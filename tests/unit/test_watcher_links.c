/* The watcher where links lead to the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/watcher_rig.h"

static void swap(struct watch_rig *rig, unsigned number, const char *content)
{
    char directory[96], file[128], name[32];

    snprintf(name, sizeof(name), "..2026_%u", number);
    snprintf(directory, sizeof(directory), "%s", watch_name(rig, name));
    assert_int_equal(mkdir(directory, 0755), 0);
    snprintf(file, sizeof(file), "%s/porthole.json", directory);
    watch_put(file, content);
    assert_int_equal(symlink(name, watch_name(rig, "..data_tmp")), 0);
    assert_int_equal(rename(watch_name(rig, "..data_tmp"), watch_name(rig, "..data")), 0);
    if (number == 0)
        return;
    snprintf(name, sizeof(name), "..2026_%u", number - 1);
    snprintf(file, sizeof(file), "%s/porthole.json", watch_name(rig, name));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(watch_name(rig, name)), 0);
}

static void begin_with_links(struct watch_rig *rig)
{
    swap(rig, 0, watch_simple);
    assert_int_equal(symlink("..data/porthole.json", rig->path), 0);
    watch_follow(rig, rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_swapped_directory_is_told_once(void **state)
{
    struct watch_rig *rig = *state;

    begin_with_links(rig);
    for (unsigned i = 1; i < 4; i++) {
        swap(rig, i, watch_text(i));
        watch_await_change(rig, SOON_MS);
        watch_expect_quiet(rig, A_WHILE_MS);
    }
    swap(rig, 4, watch_text(3));
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_fifty_swaps_settle_on_the_last(void **state)
{
    struct watch_rig *rig = *state;
    unsigned n_slow = 0; /* it may have been told then */

    begin_with_links(rig);
    for (unsigned i = 1; i < 50; i++) {
        struct instant begun = instant_now();

        swap(rig, i, watch_text(i));
        watch_turn(rig, 20);
        n_slow += instant_elapsed_us(begun, instant_now()) > 80 * 1000;
    }
    swap(rig, 50, watch_text(50));
    assert_in_range(rig->n_changed, 0, 3 + n_slow);
    watch_await_change(rig, SOON_MS);
    watch_follow(rig, rig->path, watch_text(50));
    watch_expect_quiet(rig, A_WHILE_MS);
}

/* Watches of directories that are gone are not kept. */
static void test_watcher_keeps_no_watch_of_what_it_does_not_lead_through(void **state)
{
    struct watch_rig *rig = *state;
    size_t n;

    begin_with_links(rig);
    n = rig->watcher.watches.n_items;
    for (unsigned i = 1; i < 4; i++) {
        swap(rig, i, watch_text(i));
        watch_await_change(rig, SOON_MS);
    }
    assert_int_equal(rig->watcher.watches.n_items, n);
}

static void test_watcher_link_that_leads_elsewhere_is_told(void **state)
{
    struct watch_rig *rig = *state;

    watch_put(watch_name(rig, "first"), watch_simple);
    watch_put(watch_name(rig, "second"), watch_text(2));
    assert_int_equal(symlink(watch_name(rig, "first"), rig->path), 0);
    watch_follow(rig, rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(symlink("second", rig->path), 0);
    watch_await_change(rig, SOON_MS);
    watch_put(watch_name(rig, "second"), watch_text(3));
    watch_await_change(rig, SOON_MS);
    watch_put(watch_name(rig, "first"), watch_text(4));
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_circle_of_links_is_told_as_unreadable(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(symlink("porthole.json", rig->path), 0);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_await_change(rig, WATCHER_ABSENT_MS + SOON_MS);
    watch_put_by_rename(rig, rig->path, watch_simple);
    watch_await_change(rig, SOON_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHER_TEST(test_watcher_swapped_directory_is_told_once),
        WATCHER_TEST(test_watcher_fifty_swaps_settle_on_the_last),
        WATCHER_TEST(test_watcher_keeps_no_watch_of_what_it_does_not_lead_through),
        WATCHER_TEST(test_watcher_link_that_leads_elsewhere_is_told),
        WATCHER_TEST(test_watcher_circle_of_links_is_told_as_unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
