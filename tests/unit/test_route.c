/* Routes: tables of listeners against requests. The first match wins, and a path never gets past a rule that its plain
 * spelling would not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/route_index.h"
#include "proxy/base/error.h"
#include "proxy/exchange/route.h"

#define NONE (-1)
#define AMBIGUOUS (-2)
#define UNDECIDED (-3)

static char *get_head[] = {"GET", "HEAD", NULL};
static char *post[] = {"POST", NULL};

/* A request and the number of the route that takes it. */
struct row {
    const char *method, *authority, *origin;
    int route;
};

static bool is_uid_1000(void *closure, const struct peer_rule *rules, size_t n_rules, bool unknown_fits)
{
    (void)closure;
    (void)unknown_fits;
    for (size_t i = 0; i < n_rules; i++)
        if (rules[i].has_uid && rules[i].uid == 1000)
            return true;
    return false;
}

/* How a request fares: the number of its route, or one of the above. */
static int route_of(const struct listener_config *listener, const struct request *request)
{
    struct pattern_memory *patterns = pattern_memory_new();
    size_t n = 2 * request->origin.length; /* exactly: a sanitizer sees a byte more */
    struct route_question question = {.listener = listener,
                                      .request = request,
                                      .means = {patterns, NULL},
                                      .scratch = malloc(n),
                                      .scratch_bytes = n,
                                      .peer_fits = is_uid_1000};
    struct route_found found;
    enum route_result result = route_find(&question, &found);

    free(question.scratch);
    pattern_memory_free(patterns);
    assert_int_equal(result == ROUTE_FOUND || result == ROUTE_UNDECIDED, found.route != NULL);
    assert_int_equal(result == ROUTE_UNDECIDED, found.why != NULL);
    switch (result) {
    case ROUTE_FOUND:
        return (int)(found.route - listener->routes);
    case ROUTE_AMBIGUOUS:
        return AMBIGUOUS;
    case ROUTE_UNDECIDED:
        return UNDECIDED;
    case ROUTE_NONE:
    case ROUTE_TOO_LONG:
        break;
    }
    return NONE;
}

static struct listener_config listener_of(struct route_config *routes, size_t n_routes)
{
    struct listener_config listener = {.routes = routes, .n_routes = n_routes};

    for (size_t i = 0; i < n_routes; i++) {
        if (routes[i].path || routes[i].path_prefix || routes[i].path_regex)
            listener.any_path_condition = true;
        if (routes[i].n_queries > 0)
            listener.any_query_condition = true;
    }
    return listener;
}

/* One after the other, and by the index: it makes no difference. */
static void check_request(struct listener_config *listener, const struct request *request, int expected)
{
    int found = route_of(listener, request), indexed;

    listener->index_of_routes = route_index_new(listener->routes, listener->n_routes);
    assert_non_null(listener->index_of_routes);
    indexed = route_of(listener, request);
    route_index_free(listener->index_of_routes);
    listener->index_of_routes = NULL;
    if (found != expected || indexed != expected)
        fail_msg("%.*s %.*s %.*s takes %d, by the index %d, expected %d", (int)request->method.length,
                 request->method.data, (int)request->authority.length, request->authority.data,
                 (int)request->origin.length, request->origin.data, found, indexed, expected);
}

static void check_rows(struct route_config *routes, size_t n_routes, const struct row *rows, size_t n_rows)
{
    struct listener_config listener = listener_of(routes, n_routes);

    for (size_t i = 0; i < n_rows; i++) {
        struct request request = {.method = text_of(rows[i].method),
                                  .authority = text_of(rows[i].authority),
                                  .origin = text_of(rows[i].origin)};

        check_request(&listener, &request, rows[i].route);
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
        {.host = "example.org"}, {.host = "*.example.org"}, {.host = "[::1]"}, {.host = "1.2.3.4"}, {.host = ".dot"}};
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
        {"GET", ".dot", "/", 4},
        {"GET", "a.dot", "/", NONE},
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
    struct route_question question = {.listener = &listener, .request = &request};
    struct route_found found;

    (void)state;
    question.scratch_bytes = 2 * request.origin.length - 1;
    question.scratch = malloc(question.scratch_bytes);
    assert_int_equal(route_find(&question, &found), ROUTE_TOO_LONG);
    assert_null(found.route);
    free(question.scratch);
    listener.any_path_condition = false;
    routes[0].path_prefix = NULL;
    question.scratch = NULL;
    question.scratch_bytes = 0;
    assert_int_equal(route_find(&question, &found), ROUTE_FOUND);
}

static struct pattern *compiled(const char *text)
{
    struct pattern_error error;
    struct pattern *pattern = NULL;

    assert_int_equal(pattern_compile(text, &pattern, &error), 0);
    return pattern;
}

static void test_route_by_pattern_sees_the_whole_path(void **state)
{
    struct route_config routes[] = {
        {.path_regex = compiled("/v1\\.[0-9]+/containers/[a-z0-9]+/json")},
        {.path_regex = compiled("/a/(?:b|c)")},
        {.path_regex = compiled("/(?:x+x+)+[yw]")},
    };
    static const struct row rows[] = {
        {"GET", "a", "/v1.44/containers/abc/json", 0},
        {"GET", "a", "/v1.44/containers/abc/json?x=/", 0},
        {"GET", "a", "/v1.%34%34/containers/%61bc/json", 0},
        {"GET", "a", "/v1.44/containers/abc/json/", NONE},
        {"GET", "a", "/v1.44/containers/a/c/json", NONE},
        {"GET", "a", "/v1.44/containers/../json", AMBIGUOUS},
        {"GET", "a", "/v1.44/containers/a%2fc/json", AMBIGUOUS},
        {"GET", "a", "/a/b", 1},
        {"GET", "a", "/a/c", 1},
        {"GET", "a", "/a/c;x", AMBIGUOUS},
        {"GET", "a", "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxz", UNDECIDED},
    };

    (void)state;
    CHECK(routes, rows);
    for (size_t i = 0; i < ARRAY_LENGTH(routes); i++)
        pattern_free(routes[i].path_regex);
}

static void test_route_by_field(void **state)
{
    struct condition key = {.name = "x-key", .kind = CONDITION_EQUALS, .value = template_of_literal("secret")};
    struct condition none = {.name = "x-debug", .kind = CONDITION_ABSENT};
    struct route_config routes[] = {{.headers = &key, .n_headers = 1}, {.headers = &none, .n_headers = 1}};
    struct listener_config listener = listener_of(routes, 2);
    static const struct {
        const char *names[3], *values[3];
        int route;
    } cases[] = {
        {{"X-Key"}, {"secret"}, 0},
        {{"x-KEY"}, {"secret"}, 0},
        {{"X-Key"}, {"Secret"}, 1},
        {{"X-Key"}, {" secret "}, 0},
        {{"X-Key"}, {"secret secret"}, 1},
        {{"X-Key"}, {""}, 1},
        {{"X-Keys"}, {"secret"}, 1},
        {{"X-Key", "X-Debug"}, {"secret", "1"}, 0},
        {{"X-Debug"}, {""}, NONE},
        {{"X-Key", "X-Key"}, {"secret", "secret"}, UNDECIDED},
        {{"X-Key", "X-Debug", "X-Key"}, {"other", "1", "secret"}, UNDECIDED},
        {{"X_Key"}, {"secret"}, UNDECIDED},
        {{"X-Key", "X.Key"}, {"secret", "other"}, UNDECIDED},
        {{NULL}, {NULL}, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct field items[3];
        struct request request = {.method = TEXT_LITERAL("GET"), .origin = TEXT_LITERAL("/"), .fields = {items, 0, 3}};

        for (size_t n = 0; n < 3 && cases[i].names[n]; n++)
            items[request.fields.n_items++] = field_of(text_of(cases[i].names[n]), text_of(cases[i].values[n]));
        check_request(&listener, &request, cases[i].route);
    }
    template_free(key.value);
}

/* What is not forwarded does not count. */
static void test_route_by_field_does_not_see_what_is_dropped(void **state)
{
    struct condition key = {.name = "x-key", .kind = CONDITION_EQUALS, .value = template_of_literal("secret")};
    struct route_config routes[] = {{.headers = &key, .n_headers = 1}};
    struct listener_config listener = listener_of(routes, 1);
    struct field items[] = {field_of(TEXT_LITERAL("X-Key"), TEXT_LITERAL("secret"))};
    struct request request = {.method = TEXT_LITERAL("GET"), .origin = TEXT_LITERAL("/"), .fields = {items, 1, 1}};

    (void)state;
    items[0].drop = true;
    check_request(&listener, &request, NONE);
    template_free(key.value);
}

/* PHP has "_" in place of what its variables cannot have. */
static void test_route_by_query_with_underscores(void **state)
{
    struct condition key = {.name = "a_b_", .kind = CONDITION_PRESENT};
    struct route_config routes[] = {{.queries = &key, .n_queries = 1}};
    static const struct row rows[] = {
        {"GET", "a", "/?a_b_=1", 0},           {"GET", "a", "/?a.b_=1", UNDECIDED}, {"GET", "a", "/?a+b.=1", UNDECIDED},
        {"GET", "a", "/?A%20B%20", UNDECIDED}, {"GET", "a", "/?a[b_=1", UNDECIDED}, {"GET", "a", "/?a-b_=1", NONE},
    };

    (void)state;
    CHECK(routes, rows);
}

static void test_route_by_query(void **state)
{
    struct condition kind = {.name = "a b", .kind = CONDITION_EQUALS, .value = template_of_literal("x&y")};
    struct condition all = {.name = "all", .kind = CONDITION_PRESENT};
    struct condition none = {.name = "force", .kind = CONDITION_ABSENT};
    struct route_config routes[] = {
        {.queries = &kind, .n_queries = 1}, {.queries = &all, .n_queries = 1}, {.queries = &none, .n_queries = 1}};
    static const struct row rows[] = {
        {"GET", "a", "/?a+b=x%26y", 0},
        {"GET", "a", "/?a%20b=x%26y&all=", 0},
        {"GET", "a", "/?a%20b=x&y", 2},
        {"GET", "a", "?a+b=x%26y", 0},
        {"GET", "a", "/?all", 1},
        {"GET", "a", "/?x=1&all=0", 1},
        {"GET", "a", "/?x=all", 2},
        {"GET", "a", "/", 2},
        {"GET", "a", "/?", 2},
        {"GET", "a", "/?&&&", 2},
        {"GET", "a", "/?force", NONE},
        {"GET", "a", "/?%66orce=0", NONE},
        /* What servers do not agree upon. */
        {"GET", "a", "/?all&all", UNDECIDED},
        {"GET", "a", "/?a+b=1&a%20b=x%26y", UNDECIDED},
        {"GET", "a", "/?ALL", UNDECIDED},
        {"GET", "a", "/?all[]=1", UNDECIDED},
        {"GET", "a", "/?x;all", UNDECIDED},
        {"GET", "a", "/?all;x", UNDECIDED},
        {"GET", "a", "/?Force=1", UNDECIDED},
        {"GET", "a", "/?force]=1", UNDECIDED},
        {"GET", "a", "/?[force]=1", UNDECIDED},
        {"GET", "a", "/?%5Bforce%5D=1", UNDECIDED},
        {"GET", "a", "/?[[FORCE]x]=1", UNDECIDED},
        {"GET", "a", "/?+force=1", UNDECIDED},
        {"GET", "a", "/?%20%09force=1", UNDECIDED},
        {"GET", "a", "/?all=&[all]=1", UNDECIDED},
        {"GET", "a", "/?[a+b]=1", UNDECIDED},
        {"GET", "a", "/?xforce=1", 2},
        {"GET", "a", "/?forced=1", 2},
        {"GET", "a", "/?[=1&]=1&+=1", 2},
        {"GET", "a", "/?x=%", UNDECIDED},
        {"GET", "a", "/?x=%4", UNDECIDED},
        {"GET", "a", "/?x=%zz", UNDECIDED},
        {"GET", "a", "/?%00=1", UNDECIDED},
        {"GET", "a", "/?x;y", 2},
    };

    (void)state;
    CHECK(routes, rows);
    template_free(kind.value);
}

static void test_route_by_peer(void **state)
{
    struct peer_rule us[] = {{.has_uid = true, .uid = 1000}}, others[] = {{.has_uid = true, .uid = 1001}};
    struct route_config routes[] = {
        {.peers = others, .n_peers = 1},
        {.path = "/a", .denied = us, .n_denied = 1},
        {.path = "/b", .peers = us, .n_peers = 1, .denied = us, .n_denied = 1},
        {.path = "/c", .peers = us, .n_peers = 1, .denied = others, .n_denied = 1},
    };
    static const struct row rows[] = {{"GET", "a", "/a", NONE}, {"GET", "a", "/b", NONE}, {"GET", "a", "/c", 3}};

    (void)state;
    CHECK(routes, rows);
}

/* With the index of many lists, and of too many. */
static void test_route_among_many(void **state)
{
    enum { N = 300 };
    struct route_config routes[N + 1];
    struct listener_config listener;
    char paths[N][2 * N + 8], path[2 * N + 8] = "";
    struct request request = {.method = TEXT_LITERAL("GET"), .authority = TEXT_LITERAL("h7.example")};

    (void)state;
    memset(routes, 0, sizeof(routes));
    for (int i = 0; i < N; i++) {
        memcpy(path + 2 * (size_t)i, "/a", 3);
        memcpy(paths[i], path, sizeof(path));
        routes[i].path_prefix = paths[i];
        routes[i].host = i % 3 == 0 ? "*.example" : i % 3 == 1 ? "other.example" : NULL;
        routes[i].methods = post;
    }
    routes[N].path = path;
    listener = listener_of(routes, N + 1);
    request.origin = text_of(path);
    check_request(&listener, &request, N);
    request.method = TEXT_LITERAL("POST");
    check_request(&listener, &request, 0);
    routes[0].host = "x";
    routes[1].host = "h7.example";
    check_request(&listener, &request, 1);
    request.origin = TEXT_LITERAL("/a");
    check_request(&listener, &request, NONE);
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
        cmocka_unit_test(test_route_by_pattern_sees_the_whole_path),
        cmocka_unit_test(test_route_by_field),
        cmocka_unit_test(test_route_by_field_does_not_see_what_is_dropped),
        cmocka_unit_test(test_route_by_query),
        cmocka_unit_test(test_route_by_query_with_underscores),
        cmocka_unit_test(test_route_by_peer),
        cmocka_unit_test(test_route_among_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
