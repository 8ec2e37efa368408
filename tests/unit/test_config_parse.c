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

    problems_print(&problems, "test", stderr);
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
    assert_int_equal(l->limit_header_bytes, 16384);
    assert_true(l->limit_body_bytes == SIZE_UNLIMITED);
    assert_int_equal(l->timeout_head_ms, 10000);
    assert_int_equal(l->timeout_body_ms, 30000);
    assert_int_equal(l->timeout_idle_ms, 60000);
    assert_false(l->any_path_condition);
    assert_string_equal(l->routes[0].name, "unix:/a#1");
    assert_ptr_equal(l->routes[0].target, t);
    assert_string_equal(t->name, "unix:/t");
    assert_int_equal(t->n_endpoints, 1);
    assert_int_equal(t->connections_max, 256);
    assert_int_equal(t->connections_idle, 32);
    assert_int_equal(t->connect_timeout_ms, 2000);
    assert_int_equal(t->response_timeout_ms, 60000);
    assert_int_equal(t->idle_timeout_ms, 300000);
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
    assert_true(routes[3].path_ambiguity_allow);
    snapshot_unref(s);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_smallest_fills_in_every_default),
        cmocka_unit_test(test_parse_routes_keep_order_and_share_targets),
        cmocka_unit_test(test_parse_peers_keep_what_each_rule_names),
        cmocka_unit_test(test_snapshot_lives_until_its_last_reference),
        cmocka_unit_test(test_parse_refusal_leaves_output_alone_and_sorts_problems),
        cmocka_unit_test(test_print_escapes_what_would_expand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
