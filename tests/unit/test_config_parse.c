/* config_parse: what a file becomes in the snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"

/* Parses or fails the test with the problems shown. The caller gives the reference back. */
static struct snapshot *parsed(const char *text)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    int r = config_parse(text, strlen(text), "test", &snapshot, &problems);

    problems_print(&problems, "test", "", stderr);
    problems_deinit(&problems);
    assert_int_equal(r, 0);
    return snapshot;
}

static void test_parse_smallest_fills_in_every_default(void **state UNUSED)
{
    struct snapshot *s = parsed("{\"listeners\":[{\"bind\":\"unix:/a\",\"routes\":[{\"target\":\"unix:/t\"}]}]}");
    const struct listener_config *l = &s->listeners[0];
    const struct target_config *t = &s->targets[0];

    assert_string_equal(s->source, "test");
    assert_string_equal(s->sha256, "1aabadeff29d36413a8eae22c34bddfff6705b1f61c0bb9e6877dcbfe9f93e2e");
    assert_int_equal(s->modified.tv_sec, 0);
    assert_int_equal(s->n_workers, 1);
    assert_int_equal(s->drain_ms, 30000);
    assert_int_equal(s->log.level, LOG_LEVEL_INFO);
    assert_false(s->log.access);
    assert_int_equal(s->n_listeners, 1);
    assert_string_equal(l->name, "unix:/a");
    assert_int_equal(l->mode, 0660);
    assert_int_equal(l->owner, OWNER_UNCHANGED);
    assert_int_equal(l->group, OWNER_UNCHANGED);
    assert_false(l->has_directory_mode);
    assert_int_equal(l->directory_mode, 0750);
    assert_int_equal(l->backlog, 1024);
    assert_int_equal(l->n_peers, 0);
    assert_int_equal(l->limit_connections, 1024);
    assert_int_equal(l->limit_connections_per_uid, 1000000);
    assert_int_equal(l->limit_header_bytes, 16384);
    assert_true(l->limit_body_bytes == SIZE_UNLIMITED);
    assert_int_equal(l->timeout_head_ms, 10000);
    assert_int_equal(l->timeout_body_ms, 30000);
    assert_int_equal(l->timeout_idle_ms, 60000);
    assert_false(l->any_path_condition);
    assert_null(l->stream);
    assert_null(l->routes[0].upgrade);
    assert_string_equal(l->routes[0].name, "unix:/a#1");
    assert_ptr_equal(l->routes[0].target, t);
    assert_string_equal(t->name, "unix:/t");
    assert_int_equal(t->n_endpoints, 1);
    assert_int_equal(t->connections_max, 256);
    assert_int_equal(t->connections_idle, 256);
    assert_int_equal(t->connect_timeout_ms, 2000);
    assert_int_equal(t->times.response_ms, 60000);
    assert_int_equal(t->times.idle_ms, 300000);
    assert_int_equal(t->times.tunnel_ms, 3600000);
    assert_int_equal(t->resolve_every_ms, 30000);
    assert_true(t->tls.verify);
    snapshot_unref(s);
}

static void test_parse_routes_keep_order_and_share_targets(void **state UNUSED)
{
    struct snapshot *s = parsed("{\"listeners\":[{\"name\":\"l\",\"bind\":\"unix:/a\",\"routes\":["
                                "{\"match\":{\"path\":\"/x\",\"methods\":[\"GET\",\"HEAD\"]},\"target\":\"unix:/t\"},"
                                "{\"name\":\"n\",\"match\":{\"host\":\"*.EXAMPLE.org\"},\"target\":\"unix:/t\"},"
                                "{\"match\":{\"path_prefix\":\"/y\"},\"target\":\"named\"},"
                                "{\"path_ambiguity\":\"allow\",\"respond\":{\"status\":403,\"body\":\"no\"}}]}],"
                                "\"targets\":{\"named\":{\"endpoints\":[\"https://h\"]}}}");
    const struct route_config *routes = s->listeners[0].routes;

    assert_int_equal(s->n_targets, 2);
    assert_ptr_equal(routes[0].target, routes[1].target);
    assert_ptr_equal(routes[2].target, &s->targets[0]);
    assert_int_equal(routes[1].target->index, 1);
    assert_string_equal(routes[0].name, "l#1");
    assert_string_equal(routes[1].name, "n");
    assert_string_equal(routes[0].methods[1], "HEAD");
    assert_null(routes[0].methods[2]);
    assert_null(routes[1].methods);
    assert_string_equal(routes[1].host, "*.example.org");
    assert_true(s->listeners[0].any_path_condition);
    assert_int_equal(routes[3].action, ROUTE_RESPOND);
    assert_int_equal(routes[3].respond.status, 403);
    assert_int_equal(routes[3].respond.body_length, 2);
    assert_string_equal(routes[3].respond.content_type, "text/plain; charset=utf-8");
    assert_int_equal(routes[3].path_ambiguity, ROUTE_AMBIGUITY_ALLOW);
    snapshot_unref(s);
}

static void test_parse_streams_have_a_target_and_no_routes(void **state UNUSED)
{
    struct snapshot *s = parsed("{\"listeners\":["
                                "{\"bind\":\"unix:/a\",\"limits\":{\"connections\":9,\"connections_per_uid\":3},"
                                "\"stream\":{\"target\":\"named\"}},"
                                "{\"bind\":\"unix:/b\",\"stream\":{\"target\":\"unix:/t\"}},"
                                "{\"bind\":\"tcp:[::1]:80\",\"stream\":{\"target\":\"tcp:[2001:db8::1]:81\"}},"
                                "{\"bind\":\"unix:/c\",\"routes\":[{\"target\":\"unix:/t\"}]}],"
                                "\"targets\":{\"named\":{\"endpoints\":[\"tcp:h:82\"],"
                                "\"timeouts\":{\"tunnel\":\"30d\"}}}}");
    const struct listener_config *l = s->listeners;

    assert_int_equal(s->n_listeners, 4);
    assert_int_equal(s->n_targets, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_null(l[i].routes);
        assert_int_equal(l[i].n_routes, 0);
    }
    assert_ptr_equal(l[0].stream, &s->targets[0]);
    assert_int_equal(l[0].limit_connections, 9);
    assert_int_equal(l[0].limit_connections_per_uid, 3);
    assert_int_equal(l[0].stream->endpoints[0].address.kind, ADDRESS_TCP);
    assert_string_equal(l[0].stream->endpoints[0].address.name, "h");
    assert_int_equal(l[0].stream->endpoints[0].address.port, 82);
    assert_true(l[0].stream->times.tunnel_ms == 2592000000);
    assert_string_equal(l[1].name, "unix:/b");
    assert_string_equal(l[1].stream->name, "unix:/t");
    assert_int_equal(l[1].stream->times.tunnel_ms, 3600000);
    assert_string_equal(l[2].stream->endpoints[0].address.name, "2001:db8::1");
    assert_ptr_equal(l[3].routes[0].target, l[1].stream);
    assert_null(l[3].stream);
    snapshot_unref(s);
}

static void test_parse_upgrade_is_kept_in_lower_case(void **state UNUSED)
{
    struct snapshot *s =
        parsed("{\"listeners\":[{\"bind\":\"unix:/a\",\"routes\":["
               "{\"match\":{\"path\":\"/x\"},\"target\":\"unix:/t\",\"upgrade\":[\"WebSocket\",\"h2c\"]},"
               "{\"match\":{\"path\":\"/y\"},\"target\":\"unix:/t\",\"upgrade\":[]},"
               "{\"target\":\"unix:/t\"}]}]}");
    const struct route_config *routes = s->listeners[0].routes;

    assert_string_equal(routes[0].upgrade[0], "websocket");
    assert_string_equal(routes[0].upgrade[1], "h2c");
    assert_null(routes[0].upgrade[2]);
    assert_non_null(routes[1].upgrade);
    assert_null(routes[1].upgrade[0]);
    assert_null(routes[2].upgrade);
    snapshot_unref(s);
}

static const struct {
    const char *listener; /* the members of the only listener */
    const char *pointer;
} misuse_rows[] = {
    {"\"bind\":\"unix:/a\",\"routes\":[{\"target\":\"tcp:h:1\"}]", "/listeners/0/routes/0/target"},
    {"\"bind\":\"unix:/a\",\"routes\":[{\"target\":\"t\"}]", "/listeners/0/routes/0/target"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"http://h:1\"}", "/listeners/0/stream/target"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"https://h\"}", "/listeners/0/stream/target"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"h\"}", "/listeners/0/stream/target"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"t\"},\"timeouts\":{}", "/listeners/0/timeouts"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"t\"},\"limits\":{\"header\":\"1KiB\"}",
     "/listeners/0/limits/header"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"t\"},\"limits\":{\"body\":\"1KiB\"}", "/listeners/0/limits/body"},
    {"\"bind\":\"unix:/a\",\"stream\":{\"target\":\"t\"},\"routes\":[{\"target\":\"unix:/t\"}]", "/listeners/0"},
    {"\"bind\":\"unix:/a\"", "/listeners/0"},
    {"\"bind\":\"tcp:h:1\",\"stream\":{\"target\":\"t\"},\"limits\":{\"connections_per_uid\":1}",
     "/listeners/0/limits/connections_per_uid"},
    {"\"bind\":\"unix:/a\",\"routes\":[{\"respond\":{\"status\":200},\"upgrade\":[]}]",
     "/listeners/0/routes/0/upgrade"},
    {"\"bind\":\"unix:/a\",\"routes\":[{\"target\":\"unix:/t\",\"upgrade\":[\"a\",\"A\"]}]",
     "/listeners/0/routes/0/upgrade/1"},
    {"\"bind\":\"unix:/a\",\"routes\":[{\"target\":\"unix:/t\",\"upgrade\":[\"a\\u00e9\"]}]",
     "/listeners/0/routes/0/upgrade/0"},
};

static void test_parse_misused_streams_and_upgrades_are_one_problem_each(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(misuse_rows); i++) {
        struct problems problems = PROBLEMS_INIT;
        struct snapshot *snapshot = NULL;
        char text[512];
        int length =
            snprintf(text, sizeof(text), "{\"listeners\":[{%s}],\"targets\":{\"t\":{\"endpoints\":[\"tcp:x:2\"]}}}",
                     misuse_rows[i].listener);
        print_message("%s\n", misuse_rows[i].listener);
        assert_in_range(length, 1, sizeof(text) - 1);
        assert_int_equal(config_parse(text, (size_t)length, "test", &snapshot, &problems), 1);
        assert_null(snapshot);
        assert_int_equal(problems.n_items, 1);
        assert_string_equal(problems.items[0].pointer, misuse_rows[i].pointer);
        assert_int_equal(problems.items[0].line, 1);
        assert_true(problems.items[0].column > 1);
        problems_deinit(&problems);
    }
}

static void test_parse_peers_keep_what_each_rule_names(void **state UNUSED)
{
    struct snapshot *s = parsed("{\"listeners\":[{\"bind\":\"unix:@a\",\"peers\":{\"allow\":[{\"uid\":1000},"
                                "{\"gid\":\"3000\"},{\"uid\":0,\"gid\":4294967294}]},"
                                "\"routes\":[{\"target\":\"unix:/t\"}]}]}");
    const struct peer_rule *peers = s->listeners[0].peers;

    assert_int_equal(s->listeners[0].n_peers, 3);
    assert_true(peers[0].has_uid && !peers[0].has_gid);
    assert_int_equal(peers[0].uid, 1000);
    assert_true(!peers[1].has_uid && peers[1].has_gid);
    assert_int_equal(peers[1].gid, 3000);
    assert_true(peers[2].has_uid && peers[2].has_gid);
    assert_int_equal(peers[2].gid, 4294967294u);
    snapshot_unref(s);
}

static void test_snapshot_lives_until_its_last_reference(void **state UNUSED)
{
    struct snapshot *s = parsed("{\"listeners\":[{\"bind\":\"unix:/a\",\"routes\":[{\"target\":\"unix:/t\"}]}]}");

    assert_ptr_equal(snapshot_ref(s), s);
    assert_null(snapshot_unref(s));
    assert_string_equal(s->listeners[0].bind.name, "/a");
    assert_null(snapshot_unref(s));
    assert_null(snapshot_unref(NULL));
}

static void test_parse_refusal_leaves_output_alone_and_sorts_problems(void **state UNUSED)
{
    static const char text[] =
        "{\"listeners\":[{\"bind\":\"a\",\"mode\":1,\"routes\":[{\"target\":\"t\"}]}],\n\"drain\":0}";
    struct snapshot *snapshot = (struct snapshot *)(uintptr_t)1;
    struct problems problems = PROBLEMS_INIT;

    assert_int_equal(config_parse(text, strlen(text), "test", &snapshot, &problems), 1);
    assert_ptr_equal(snapshot, (struct snapshot *)(uintptr_t)1);
    assert_int_equal(problems.n_items, 4);
    assert_string_equal(problems.items[0].pointer, "/listeners/0/bind");
    assert_string_equal(problems.items[1].pointer, "/listeners/0/mode");
    assert_string_equal(problems.items[2].pointer, "/listeners/0/routes/0/target");
    assert_string_equal(problems.items[3].pointer, "/drain");
    assert_int_equal(problems.items[3].line, 2);
    assert_int_equal(problems.items[3].column, 9);
    problems_deinit(&problems);
    problems_deinit(&problems);
}

static void test_print_escapes_what_would_expand(void **state UNUSED)
{
    struct snapshot *s = parsed("{\"listeners\":[{\"bind\":\"unix:/a\",\"routes\":["
                                "{\"respond\":{\"status\":200,\"body\":\"$${HOME}$$\"}}]}]}");
    char *printed = NULL;
    size_t length;
    FILE *to = open_memstream(&printed, &length);

    assert_non_null(to);
    assert_string_equal(s->listeners[0].routes[0].respond.body, "${HOME}$$");
    assert_int_equal(config_print(s, to), 0);
    assert_int_equal(fclose(to), 0);
    assert_non_null(strstr(printed, "\"$${HOME}$$\""));
    free(printed);
    snapshot_unref(s);
}

/* So that whoever waits for a file to be right knows what it waits for. */
static void test_config_parse_names_files_that_cannot_be_read(void **state)
{
    static const char text[] =
        "{\"listeners\":[{\"bind\":\"unix:/a\",\"routes\":[{\"respond\":{\"status\":200,\"file\":\"/none/a\"}}]}],"
        "\"targets\":{\"x\":{\"endpoints\":[\"https://a\"],\"tls\":{\"ca\":\"/none/b\"}},"
        "\"y\":{\"endpoints\":[\"https://b\"],\"tls\":{\"ca\":\"/\"}}}}";
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;

    (void)state;
    assert_int_equal(config_parse(text, sizeof(text) - 1, "test", &snapshot, &problems), 1);
    assert_int_equal(problems.n_files, 2);
    assert_string_equal(problems.files[0], "/none/b"); /* targets are read first */
    assert_string_equal(problems.files[1], "/none/a");
    problems_deinit(&problems);
    assert_int_equal(problems.n_files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_smallest_fills_in_every_default),
        cmocka_unit_test(test_parse_routes_keep_order_and_share_targets),
        cmocka_unit_test(test_parse_streams_have_a_target_and_no_routes),
        cmocka_unit_test(test_parse_upgrade_is_kept_in_lower_case),
        cmocka_unit_test(test_parse_misused_streams_and_upgrades_are_one_problem_each),
        cmocka_unit_test(test_parse_peers_keep_what_each_rule_names),
        cmocka_unit_test(test_snapshot_lives_until_its_last_reference),
        cmocka_unit_test(test_parse_refusal_leaves_output_alone_and_sorts_problems),
        cmocka_unit_test(test_config_parse_names_files_that_cannot_be_read),
        cmocka_unit_test(test_print_escapes_what_would_expand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
