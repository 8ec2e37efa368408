/* What a running process cannot change, and what it keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/compare.h"
#include "config/load.h"

static struct snapshot *parse(const char *top, const char *listeners)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    char text[2048];

    snprintf(text, sizeof(text), "{%s\"listeners\":[%s]}", top, listeners);
    if (config_parse(text, strlen(text), "test", &snapshot, &problems))
        problems_print(&problems, "test", "", stderr);
    problems_deinit(&problems);
    assert_non_null(snapshot);
    return snapshot;
}

#define SIMPLE "{\"bind\":\"unix:/a\",\"routes\":[{\"respond\":{\"status\":200}}]}"

static void expect_refused(const char *now_top, const char *next_top, const char *pointer, const char *both)
{
    struct snapshot *now = parse(now_top, SIMPLE), *next = parse(next_top, SIMPLE);
    struct problems problems = PROBLEMS_INIT;

    assert_int_equal(config_compare(now, next, &problems), 1);
    assert_int_equal(problems.n_items, 1);
    assert_string_equal(problems.items[0].pointer, pointer);
    assert_non_null(strstr(problems.items[0].message, both));
    problems_deinit(&problems);
    assert_int_equal(config_compare(now, now, &problems), 0);
    snapshot_unref(now);
    snapshot_unref(next);
}

static void test_compare_names_what_cannot_change_with_both_values(void **state)
{
    (void)state;
    expect_refused("\"workers\":2,", "\"workers\":3,", "/workers", "it is 2, and would be 3");
    expect_refused("", "\"workers\":3,", "/workers", "it is 1, and would be 3");
    expect_refused("\"sandbox\":{\"landlock\":false},", "", "/sandbox/landlock", "it is false, and would be true");
    expect_refused("\"sandbox\":{\"seccomp\":false},", "", "/sandbox/seccomp", "it is false, and would be true");
}

static void test_compare_lets_everything_else_change(void **state)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *now, *next;

    (void)state;
    now = parse("\"workers\":2,", SIMPLE);
    next = parse("\"workers\":2,\"drain\":\"1s\",\"watch\":false,\"log\":{\"level\":\"error\",\"access\":true},",
                 "{\"bind\":\"tcp:127.0.0.1:1\",\"backlog\":7,\"routes\":[{\"respond\":{\"status\":200}}]}");
    assert_int_equal(config_compare(now, next, &problems), 0);
    assert_int_equal(problems.n_items, 0);
    snapshot_unref(now);
    snapshot_unref(next);
}

/* The quota of a pod may change, which is no reason to refuse what somebody has written. */
static void test_compare_number_of_workers_that_the_system_says_stays(void **state)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *now = parse("\"workers\":7,", SIMPLE), *next = parse("\"workers\":\"auto\",", SIMPLE);

    (void)state;
    assert_int_equal(config_compare(now, next, &problems), 0);
    config_inherit(next, now);
    assert_int_equal(next->n_workers, 7);
    snapshot_unref(now);
    snapshot_unref(next);
}

#define RATE(n, by) "\"rate\":{\"requests\":" #n ",\"per\":\"1h\",\"by\":\"" by "\"}"
#define ROUTE(name, path, rate) \
    "{\"name\":\"" name "\",\"match\":{\"path\":\"" path "\"},\"respond\":{\"status\":200}," rate "}"

static const struct rate *rate_of(const struct snapshot *snapshot, size_t listener, size_t route)
{
    return snapshot->listeners[listener].routes[route].rate.buckets;
}

static void test_inherit_rates_of_same_routes_go_on(void **state)
{
    struct snapshot *now, *next;
    struct instant when = instant_now();
    uint64_t wait_ms;

    (void)state;
    now = parse("", "{\"bind\":\"unix:/a\",\"routes\":[" ROUTE("x", "/x", RATE(2, "route")) "," ROUTE(
                        "y", "/y", RATE(2, "uid")) "," ROUTE("z", "/z", RATE(3, "route")) "]},"
                                                                                          "{\"bind\":\"unix:/"
                                                                                          "b\",\"routes\":[" ROUTE(
                                                                                              "x", "/x",
                                                                                              RATE(2, "route")) "]}");
    next = parse(
        "", "{\"bind\":\"unix:/c\",\"routes\":[" ROUTE(
                "x", "/x",
                RATE(2, "route")) "]},"
                                  "{\"bind\":\"unix:/./a\",\"routes\":[" ROUTE("y", "/other", RATE(2, "uid")) "," ROUTE(
                                      "x", "/x",
                                      RATE(2, "route")) "," ROUTE("z", "/z",
                                                                  RATE(4, "route")) "," ROUTE("w", "/w",
                                                                                              RATE(2, "route")) "]}");
    assert_true(rate_take(now->listeners[0].routes[0].rate.buckets, 0, when, &wait_ms));
    config_inherit(next, now);
    assert_ptr_equal(rate_of(next, 1, 0), rate_of(now, 0, 1));
    assert_ptr_equal(rate_of(next, 1, 1), rate_of(now, 0, 0));
    assert_ptr_not_equal(rate_of(next, 0, 0), rate_of(now, 0, 0));
    assert_ptr_not_equal(rate_of(next, 0, 0), rate_of(now, 1, 0));
    assert_ptr_not_equal(rate_of(next, 1, 2), rate_of(now, 0, 2));
    snapshot_unref(now);
    assert_true(rate_take(next->listeners[1].routes[1].rate.buckets, 0, when, &wait_ms));
    assert_false(rate_take(next->listeners[1].routes[1].rate.buckets, 0, when, &wait_ms));
    snapshot_unref(next);
}

#define AT(path, more) "{\"match\":{\"path\":\"/" path "\"}," more "}"
#define ANSWER "\"respond\":{\"status\":200}"
#define AT_PATH(bind, routes) "{\"bind\":\"unix:/" bind "\",\"routes\":[" routes "]}"

static void expect_changes(const char *now_top, const char *now_listeners, const char *next_top,
                           const char *next_listeners, size_t n_routes, size_t n_targets)
{
    struct snapshot *now = parse(now_top, now_listeners), *next = parse(next_top, next_listeners);
    struct config_changes changes = {99, 99};

    assert_int_equal(config_count_changes(now, next, &changes), 0);
    assert_int_equal(changes.n_routes, n_routes);
    assert_int_equal(changes.n_targets, n_targets);
    snapshot_unref(now);
    snapshot_unref(next);
}

static void test_compare_counts_routes_and_targets_that_are_others(void **state)
{
    const char *a = AT_PATH("a", AT("1", ANSWER) "," AT("2", ANSWER));

    (void)state;
    expect_changes("", a, "", a, 0, 0);
    expect_changes("", a, "\"drain\":\"1s\",",
                   "{ \"routes\":[" AT("1", ANSWER) ", " AT("2", ANSWER) "], \"bind\": \"unix:/a\" }", 0, 0);
    expect_changes("", a, "", AT_PATH("a", AT("1", ANSWER) "," AT("3", ANSWER)), 1, 0);
    expect_changes("", a, "", AT_PATH("a", AT("0", ANSWER) "," AT("1", ANSWER) "," AT("2", ANSWER)), 1, 0);
    expect_changes("", a, "", AT_PATH("a", AT("2", ANSWER)), 1, 0);
    expect_changes("", a, "", AT_PATH("a", AT("2", ANSWER) "," AT("1", ANSWER)), 2, 0);
    /* Those of listeners that come or go are not counted: the listener is. */
    expect_changes("", a, "", AT_PATH("b", AT("9", ANSWER)), 0, 0);
    expect_changes("", AT_PATH("a", AT("1", "\"target\":\"unix:/t\"")), "",
                   AT_PATH("a", AT("1", "\"target\":\"unix:/u\"")), 1, 1);
    expect_changes("\"targets\":{\"t\":{\"endpoints\":[\"unix:/t\"]}},", AT_PATH("a", AT("1", "\"target\":\"t\"")),
                   "\"targets\":{\"t\":{\"endpoints\":[\"unix:/u\"]}},", AT_PATH("a", AT("1", "\"target\":\"t\"")), 0,
                   1);
    expect_changes("\"targets\":{\"t\":{\"endpoints\":[\"unix:/t\"]},\"u\":{\"endpoints\":[\"unix:/u\"]}},",
                   AT_PATH("a", AT("1", "\"target\":\"t\"")),
                   "\"targets\":{\"u\":{\"endpoints\":[\"unix:/u\"]},\"t\":{\"endpoints\":[\"unix:/t\"]}},",
                   AT_PATH("a", AT("1", "\"target\":\"t\"")), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_counts_routes_and_targets_that_are_others),
        cmocka_unit_test(test_compare_names_what_cannot_change_with_both_values),
        cmocka_unit_test(test_compare_lets_everything_else_change),
        cmocka_unit_test(test_compare_number_of_workers_that_the_system_says_stays),
        cmocka_unit_test(test_inherit_rates_of_same_routes_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
