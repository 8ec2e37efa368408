/* Routes: tables of listeners against requests. The first match wins, and a path never gets past a rule that its plain
 * spelling would not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/error.h"
#include "proxy/exchange/route.h"

#define NONE (-1)
#define AMBIGUOUS (-2)

static char *get_head[] = {"GET", "HEAD", NULL};
static char *post[] = {"POST", NULL};

/* A request and the number of the route that takes it. */
struct row {
    const char *method, *authority, *origin;
    int route;
};

static void check_rows(struct route_config *routes, size_t n_routes, const struct row *rows, size_t n_rows)
{
    struct listener_config listener = {.routes = routes, .n_routes = n_routes};

    for (size_t i = 0; i < n_routes; i++)
        if (routes[i].path || routes[i].path_prefix)
            listener.any_path_condition = true;
    for (size_t i = 0; i < n_rows; i++) {
        struct request request = {.method = text_of(rows[i].method),
                                  .authority = text_of(rows[i].authority),
                                  .origin = text_of(rows[i].origin)};
        const struct route_config *route = NULL;
        char *scratch = malloc(request.origin.length); /* exactly: a sanitizer sees a byte more */
        enum route_result result = route_find(&listener, &request, scratch, request.origin.length, &route);
        int found = result == ROUTE_FOUND ? (int)(route - routes) : result == ROUTE_AMBIGUOUS ? AMBIGUOUS : NONE;

        free(scratch);
        if (found != rows[i].route)
            fail_msg("%s %s %s takes %d, expected %d", rows[i].method, rows[i].authority, rows[i].origin, found,
                     rows[i].route);
        if (result != ROUTE_FOUND)
            assert_null(route);
    }
}

#define CHECK(routes, rows) check_rows(routes, ARRAY_LENGTH(routes), rows, ARRAY_LENGTH(rows))

static void test_route_by_path(void **state)
{
    struct route_config routes[] = {
        {.path = "/exact"}, {.path_prefix = "/api"}, {.path_prefix = "/dir/"}, {.path = "/"}, {.path = "*"},
    };
    static const struct row rows[] = {
        {"GET", "a", "/exact", 0},
        {"GET", "a", "/exact?q=/api", 0},
        {"GET", "a", "/exact/", NONE},
        {"GET", "a", "/Exact", NONE},
        {"GET", "a", "/%65xact", 0},
        {"GET", "a", "/api", 1},
        {"GET", "a", "/api/", 1},
        {"GET", "a", "/api/x?y", 1},
        {"GET", "a", "/api?x", 1},
        {"GET", "a", "/apis", NONE},
        {"GET", "a", "/dir", NONE},
        {"GET", "a", "/dir/", 2},
        {"GET", "a", "/dir/x", 2},
        {"GET", "a", "/", 3},
        {"GET", "a", "/?x", 3},
        {"GET", "a", "?x", 3},
        {"OPTIONS", "a", "*", 4},
        {"GET", "a", "/api/%2e%2E/x", AMBIGUOUS},
        {"GET", "a", "/api/..", AMBIGUOUS},
        {"GET", "a", "/api/..;x/", AMBIGUOUS},
        {"GET", "a", "//exact", AMBIGUOUS},
        {"GET", "a", "/api%2fx", AMBIGUOUS},
        {"GET", "a", "/api\\x", AMBIGUOUS},
        {"GET", "a", "/exact%", AMBIGUOUS},
        {"GET", "a", "/none?a=../..", NONE},
    };

    (void)state;
    CHECK(routes, rows);
}

static void test_route_by_method_is_case_sensitive(void **state)
{
    struct route_config routes[] = {{.methods = get_head}, {.methods = post}};
    static const struct row rows[] = {
        {"GET", "a", "/", 0},    {"HEAD", "a", "/", 0},    {"POST", "a", "/", 1},
        {"get", "a", "/", NONE}, {"GETS", "a", "/", NONE}, {"GE", "a", "/", NONE},
    };

    (void)state;
    CHECK(routes, rows);
}

static void test_route_by_host_without_its_port(void **state)
{
    struct route_config routes[] = {
        {.host = "example.org"}, {.host = "*.example.org"}, {.host = "[::1]"}, {.host = "1.2.3.4"}};
    static const struct row rows[] = {
        {"GET", "example.org", "/", 0},
        {"GET", "EXAMPLE.org:8080", "/", 0},
        {"GET", "example.org:", "/", 0},
        {"GET", "a.example.org", "/", 1},
        {"GET", "A.b.Example.ORG:1", "/", 1},
        {"GET", ".example.org", "/", NONE},
        {"GET", "notexample.org", "/", NONE},
        {"GET", "example.org.evil", "/", NONE},
        {"GET", "", "/", NONE},
        {"GET", "[::1]", "/", 2},
        {"GET", "[::1]:80", "/", 2},
        {"GET", "1.2.3.4:5", "/", 3},
        {"GET", "1.2.3.4", "/", 3},
        {"GET", "1.2.3.45", "/", NONE},
    };

    (void)state;
    CHECK(routes, rows);
}

static void test_route_first_match_wins_and_all_conditions_count(void **state)
{
    struct route_config routes[] = {
        {.path_prefix = "/a", .methods = post},
        {.path_prefix = "/a/b", .host = "x"},
        {.path_prefix = "/a"},
        {.path_prefix = "/a/b"},
    };
    static const struct row rows[] = {
        {"POST", "x", "/a/b", 0},
        {"GET", "x", "/a/b", 1},
        {"GET", "y", "/a/b", 2},
        {"GET", "x", "/b", NONE},
    };

    (void)state;
    CHECK(routes, rows);
}

static void test_route_without_path_conditions_looks_at_no_path(void **state)
{
    struct route_config routes[] = {{.methods = get_head}};
    static const struct row rows[] = {
        {"GET", "a", "/../%2f%00//\\", 0},
        {"POST", "a", "/..", NONE},
        {"GET", "a", "/%", 0},
    };

    (void)state;
    CHECK(routes, rows);
}

static void test_route_ambiguous_path_goes_only_where_it_is_allowed(void **state)
{
    struct route_config routes[] = {
        {.path_prefix = "/a"}, {.methods = post}, {.methods = get_head, .path_ambiguity = ROUTE_AMBIGUITY_ALLOW}};
    static const struct row rows[] = {
        {"GET", "a", "/a/../b", 2},  {"POST", "a", "/a/../b", AMBIGUOUS},
        {"POST", "a", "/b", 1},      {"DELETE", "a", "/a/%2e%2e", AMBIGUOUS},
        {"DELETE", "a", "/b", NONE}, {"GET", "a", "/a", 0},
    };

    (void)state;
    CHECK(routes, rows);
}

/* What is written is never more than the buffer has. */
static void test_route_path_without_room_is_too_long(void **state)
{
    struct route_config routes[] = {{.path_prefix = "/a"}, {.methods = post}};
    struct listener_config listener = {.routes = routes, .n_routes = 2, .any_path_condition = true};
    struct request request = {
        .method = TEXT_LITERAL("GET"), .authority = TEXT_LITERAL("a"), .origin = TEXT_LITERAL("/a/1234567890")};
    const struct route_config *route = NULL;
    char *scratch = malloc(request.origin.length - 1);

    (void)state;
    assert_int_equal(route_find(&listener, &request, scratch, request.origin.length - 1, &route), ROUTE_TOO_LONG);
    assert_null(route);
    listener.any_path_condition = false;
    routes[0].path_prefix = NULL;
    assert_int_equal(route_find(&listener, &request, NULL, 0, &route), ROUTE_FOUND);
    free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_by_path),
        cmocka_unit_test(test_route_by_method_is_case_sensitive),
        cmocka_unit_test(test_route_by_host_without_its_port),
        cmocka_unit_test(test_route_first_match_wins_and_all_conditions_count),
        cmocka_unit_test(test_route_without_path_conditions_looks_at_no_path),
        cmocka_unit_test(test_route_path_without_room_is_too_long),
        cmocka_unit_test(test_route_ambiguous_path_goes_only_where_it_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
