/* Series: found again by their names, bounded, and read while they are counted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/report/series.h"

static size_t n_of_kind(const struct series_book *book, enum series_kind kind)
{
    size_t n = 0;

    for (const struct series *series = series_first(book, kind); series; series = series_next(series))
        n++;
    return n;
}

static void test_series_of_the_same_names_is_the_same(void **state)
{
    struct series_book book;
    struct series *listener, *route;

    (void)state;
    assert_int_equal(series_book_init(&book, 2), 0);
    listener = series_find(&book, SERIES_LISTENER, NULL, "app");
    route = series_find(&book, SERIES_ROUTE, "app", "read");
    assert_non_null(listener);
    assert_non_null(route);
    assert_ptr_equal(series_find(&book, SERIES_ROUTE, "app", "read"), route);
    assert_ptr_not_equal(series_find(&book, SERIES_ROUTE, "app", ""), route);
    assert_ptr_not_equal(series_find(&book, SERIES_TARGET, NULL, "app"), listener);
    assert_string_equal(route->owner, "app");
    assert_ptr_not_equal(route_slot(route, 0), route_slot(route, 1));
    assert_int_equal((uintptr_t)route_slot(route, 1) % 64, 0);
    series_book_deinit(&book);
    series_book_deinit(&book);
}

static void test_series_beyond_the_most_are_counted_together(void **state)
{
    struct series_book book;
    struct series *rest = NULL;
    char name[32];

    (void)state;
    assert_int_equal(series_book_init(&book, 1), 0);
    (void)!series_find(&book, SERIES_LISTENER, NULL, "app");
    for (int i = 0; i < SERIES_MOST_ROUTES + 100; i++) {
        snprintf(name, sizeof(name), "route%d", i);
        rest = series_find(&book, SERIES_ROUTE, "app", name);
        assert_non_null(rest);
    }
    assert_string_equal(rest->name, SERIES_OTHER);
    assert_string_equal(rest->owner, "app");
    assert_int_equal(n_of_kind(&book, SERIES_ROUTE), SERIES_MOST_ROUTES + 1);
    assert_string_equal(series_find(&book, SERIES_ROUTE, "app", "")->name, "");
    series_book_deinit(&book);
}

static void test_series_of_an_owner_beyond_the_most_are_counted_together(void **state)
{
    struct series_book book;
    const struct series *route;
    char name[32];

    (void)state;
    assert_int_equal(series_book_init(&book, 1), 0);
    for (int i = 0; i < SERIES_MOST_LISTENERS + 50; i++) {
        snprintf(name, sizeof(name), "listener%d", i);
        assert_non_null(series_find(&book, SERIES_LISTENER, NULL, name));
        route = series_find(&book, SERIES_ROUTE, name, "");
        assert_non_null(route);
    }
    assert_string_equal(route->owner, SERIES_OTHER);
    assert_int_equal(n_of_kind(&book, SERIES_LISTENER), SERIES_MOST_LISTENERS + 1);
    assert_int_equal(n_of_kind(&book, SERIES_ROUTE), SERIES_MOST_LISTENERS + 1);
    series_book_deinit(&book);
}

/* ---- cells ---- */

struct seen {
    uint64_t n, sum;
    uint32_t last;
};

static void see(void *closure, uint32_t key, uint64_t n)
{
    struct seen *seen = closure;

    seen->n++;
    seen->sum += n;
    seen->last = key;
}

static void test_cells_count_each_key_by_itself(void **state)
{
    struct cells cells = {0};
    struct seen seen = {0};

    (void)state;
    for (int round = 0; round < 3; round++)
        for (uint32_t key = 0; key < 20; key++)
            cells_add(&cells, key, 1000, key);
    cells_read(&cells, see, &seen);
    assert_int_equal(seen.n, 20);
    assert_int_equal(seen.sum, 3 * 190);
    cells_deinit(&cells);
}

static void test_cells_beyond_the_most_are_counted_as_the_rest(void **state)
{
    struct cells cells = {0};
    struct seen seen = {0};

    (void)state;
    for (uint32_t key = 0; key < 5000; key++)
        cells_add(&cells, key, 70000 + key % 2, 1);
    cells_read(&cells, see, &seen);
    assert_int_equal(seen.n, CELLS_MOST + 2);
    assert_int_equal(seen.sum, 5000);
    assert_true(seen.last >= 70000);
    cells_deinit(&cells);
}

static void test_cells_beyond_all_are_not_lost(void **state)
{
    struct cells cells = {0};
    struct seen seen = {0};

    (void)state;
    for (uint32_t key = 0; key < 5000; key++)
        cells_add(&cells, key, 70000 + key, 1);
    cells_read(&cells, see, &seen);
    assert_int_equal(seen.n, CELLS_MOST + CELLS_MOST_REST + 1);
    assert_int_equal(seen.sum, 5000);
    assert_int_equal(seen.last, CELLS_UNPLACED);
    cells_deinit(&cells);
}

#define N_COUNTED 300000u

static void *count_cells(void *closure)
{
    struct cells *cells = closure;

    for (uint32_t i = 0; i < N_COUNTED; i++)
        cells_add(cells, i % 100, 1000, 1);
    return NULL;
}

static void test_cells_are_read_while_they_are_counted(void **state)
{
    struct cells cells = {0};
    struct seen seen = {0};
    pthread_t thread;
    uint64_t before = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, count_cells, &cells), 0);
    while (before < N_COUNTED) {
        seen = (struct seen){0};
        cells_read(&cells, see, &seen);
        assert_true(seen.sum >= before);
        assert_true(seen.n <= 100);
        before = seen.sum;
    }
    pthread_join(thread, NULL);
    assert_int_equal(seen.sum, N_COUNTED);
    cells_deinit(&cells);
}

/* ---- histograms, labels ---- */

static void test_histogram_bounds_are_inclusive_and_as_written(void **state)
{
    static const struct histogram_bounds *const all[] = {&histogram_requests, &histogram_tunnels};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        const struct histogram_bounds *bounds = all[i];
        struct histogram histogram = {0};
        struct histogram_sum sum = {0};

        for (size_t at = 0; at < bounds->n; at++) {
            assert_true((double)bounds->ns[at] == strtod(bounds->seconds[at], NULL) * 1e9);
            assert_true(at == 0 || bounds->ns[at] > bounds->ns[at - 1]);
            histogram_observe(&histogram, bounds, bounds->ns[at]);
            histogram_observe(&histogram, bounds, bounds->ns[at] + 1);
        }
        histogram_read(&histogram, &sum);
        assert_int_equal(sum.n, 2 * bounds->n);
        assert_int_equal(sum.buckets[0], 1);
        assert_int_equal(sum.buckets[1], 2);
        assert_int_equal(sum.buckets[bounds->n], 1);
    }
}

static void test_labels_are_a_few(void **state)
{
    (void)state;
    assert_int_equal(method_label(TEXT_LITERAL("GET")), METHOD_GET);
    assert_int_equal(method_label(TEXT_LITERAL("OPTIONS")), METHOD_OPTIONS);
    assert_int_equal(method_label(TEXT_LITERAL("get")), METHOD_OTHER);
    assert_int_equal(method_label(TEXT_LITERAL("PROPFIND")), METHOD_OTHER);
    assert_int_equal(method_label((struct text){NULL, 0}), METHOD_OTHER);
    assert_int_equal(protocol_label(TEXT_LITERAL("WebSocket")), PROTOCOL_WEBSOCKET);
    assert_int_equal(protocol_label(TEXT_LITERAL("SPDY/3.1")), PROTOCOL_SPDY);
    assert_int_equal(protocol_label(TEXT_LITERAL("stream")), PROTOCOL_OTHER);
    assert_int_equal(protocol_label((struct text){NULL, 0}), PROTOCOL_OTHER);
}

static size_t bucket_by_search(const struct histogram_bounds *bounds, uint64_t ns)
{
    size_t i = 0;

    while (i < bounds->n && ns > bounds->ns[i])
        i++;
    return i;
}

static void expect_bucket_beside(const struct histogram_bounds *bounds, uint64_t ns)
{
    for (uint64_t beside = 0; beside < 5; beside++)
        assert_int_equal(histogram_bucket(bounds, ns + beside - 2), bucket_by_search(bounds, ns + beside - 2));
}

static void test_histogram_bucket_is_what_a_search_of_all_bounds_finds(void **state)
{
    static const struct histogram_bounds *const all[] = {&histogram_requests, &histogram_tunnels};
    uint64_t random = 1;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < all[i]->n; at++)
            expect_bucket_beside(all[i], all[i]->ns[at]);
        for (unsigned bits = 0; bits < 64; bits++)
            expect_bucket_beside(all[i], UINT64_C(1) << bits); /* and 0, and the most there is */
        for (unsigned n = 0; n < 100000; n++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            expect_bucket_beside(all[i], random >> (n % 64));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_of_the_same_names_is_the_same),
        cmocka_unit_test(test_series_beyond_the_most_are_counted_together),
        cmocka_unit_test(test_series_of_an_owner_beyond_the_most_are_counted_together),
        cmocka_unit_test(test_cells_count_each_key_by_itself),
        cmocka_unit_test(test_cells_beyond_the_most_are_counted_as_the_rest),
        cmocka_unit_test(test_cells_beyond_all_are_not_lost),
        cmocka_unit_test(test_cells_are_read_while_they_are_counted),
        cmocka_unit_test(test_histogram_bounds_are_inclusive_and_as_written),
        cmocka_unit_test(test_histogram_bucket_is_what_a_search_of_all_bounds_finds),
        cmocka_unit_test(test_labels_are_a_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
