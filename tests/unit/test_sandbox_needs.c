/* What a configuration needs of the system, and which places of the file system that opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"
#include "proxy/sandbox/landlock_abi.h"
#include "proxy/sandbox/place.h"
#include "proxy/sandbox/privileges.h"

#define MOST_TOLD 16

/* What place_each has told. */
struct told {
    char paths[MOST_TOLD][256];
    uint64_t rights[MOST_TOLD];
    size_t n;
};

static struct snapshot *parse(const char *text)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;

    if (config_parse(text, strlen(text), "porthole.json", &snapshot, &problems) != 0)
        problems_print(&problems, "", "", stderr);
    problems_deinit(&problems);
    assert_non_null(snapshot);
    return snapshot;
}

static const struct needs_place *find(const struct needs *needs, const char *path)
{
    for (size_t i = 0; i < needs->n_places; i++)
        if (strcmp(needs->places[i].path, path) == 0)
            return &needs->places[i];
    return NULL;
}

static int tell(void *closure, const char *path, uint64_t rights)
{
    struct told *told = closure;

    assert_true(told->n < MOST_TOLD);
    snprintf(told->paths[told->n], sizeof(told->paths[0]), "%s", path);
    told->rights[told->n++] = rights;
    return 0;
}

static uint64_t rights_of(const struct told *told, const char *path)
{
    for (size_t i = 0; i < told->n; i++)
        if (strcmp(told->paths[i], path) == 0)
            return told->rights[i];
    return 0;
}

static void test_needs_sockets_alone_open_no_name_service(void **state)
{
    struct snapshot *snapshot = parse(
        "{ \"listeners\": [ { \"bind\": \"unix:/run/a/a.sock\", \"routes\": [ { \"target\": \"unix:/run/b/b.sock\" } "
        "] }, { \"bind\": \"tcp:127.0.0.1:80\", \"routes\": [ { \"target\": \"http://[::1]:81\" } ] } ] }");
    struct needs needs;

    (void)state;
    assert_int_equal(needs_init(&needs, snapshot), 0);
    assert_int_equal(find(&needs, "/run/a/a.sock")->kind, NEEDS_PUBLISHED);
    assert_int_equal(find(&needs, "/run/b/b.sock")->kind, NEEDS_TARGET);
    assert_null(find(&needs, "/etc/hosts"));
    assert_null(find(&needs, "/etc/passwd"));
    assert_null(find(&needs, "/etc/ssl/certs"));
    assert_false(needs.names);
    assert_false(needs.abstract);
    assert_int_equal(needs.n_connect, 1);
    assert_int_equal(needs.connect[0], 81);
    assert_int_equal(needs.n_bind, 1);
    assert_int_equal(needs.bind[0], 80);
    needs_deinit(&needs);
    snapshot_unref(snapshot);
}

static void test_needs_names_and_tls_open_what_they_read(void **state)
{
    struct snapshot *snapshot = parse(
        "{ \"workers\": \"auto\", \"log\": { \"access\": { \"to\": \"/var/log/p/access\" } }, \"targets\": { \"t\": { "
        "\"endpoints\": [ \"https://example.org\", \"https://example.org:8443\" ] } }, \"listeners\": [ { \"bind\": "
        "\"unix:/run/a/a.sock\", \"group\": \"root\", \"routes\": [ { \"target\": \"t\", \"request_headers\": { "
        "\"set\": { "
        "\"A\": \"${file:/run/secrets/token}\" } } } ] } ] }");
    struct needs needs;

    (void)state;
    assert_int_equal(needs_init(&needs, snapshot), 0);
    assert_true(needs.names);
    assert_int_equal(find(&needs, "/etc/resolv.conf")->kind, NEEDS_FILE);
    assert_int_equal(find(&needs, "/etc/ssl/certs")->kind, NEEDS_TREE);
    assert_int_equal(find(&needs, "/run/secrets/token")->kind, NEEDS_FILE);
    assert_int_equal(find(&needs, "/var/log/p/access")->kind, NEEDS_LOG);
    assert_int_equal(find(&needs, "porthole.json")->kind, NEEDS_FILE);
    assert_non_null(find(&needs, "/etc/group"));
    assert_non_null(find(&needs, "/proc/self/cgroup"));
    assert_non_null(find(&needs, "/proc/self/mountinfo"));
    assert_int_equal(needs.n_connect, 3);
    assert_int_equal(needs.connect[0], 443);
    assert_int_equal(needs.connect[1], 8443);
    assert_int_equal(needs.connect[2], 53);
    needs_deinit(&needs);
    snapshot_unref(snapshot);
}

static void test_needs_abstract_target_is_noticed(void **state)
{
    struct snapshot *snapshot =
        parse("{ \"listeners\": [ { \"bind\": \"unix:/run/a/a.sock\", \"routes\": [ { \"target\": "
              "\"unix:@app\" } ] } ] }");
    struct needs needs;

    (void)state;
    assert_int_equal(needs_init(&needs, snapshot), 0);
    assert_true(needs.abstract);
    needs_deinit(&needs);
    snapshot_unref(snapshot);
}

static void test_privileges_are_what_listeners_name(void **state)
{
    static const struct {
        const char *members, *kept;
    } rows[] = {
        {"", "none"},
        {"\"owner\": \"4000000\",", "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER"},
        {"\"group\": \"4000000\",", "CAP_CHOWN CAP_FSETID"},
        {"\"directory_mode\": \"0750\",", "CAP_FSETID"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[512], kept[PRIVILEGES_TEXT_BYTES];
        struct snapshot *snapshot;
        struct needs needs;

        snprintf(text, sizeof(text),
                 "{ \"listeners\": [ { %s \"bind\": \"unix:/run/a/a.sock\", \"routes\": [ { \"respond\": { \"status\": "
                 "204 } "
                 "} ] } ] }",
                 rows[i].members);
        snapshot = parse(text);
        assert_int_equal(needs_init(&needs, snapshot), 0);
        assert_string_equal(privileges_format(privileges_named(&needs), kept), rows[i].kept);
        needs_deinit(&needs);
        snapshot_unref(snapshot);
    }
}

/* ---- places ---- */

static int make_tree(void **state)
{
    static char directory[64];

    snprintf(directory, sizeof(directory), "/tmp/porthole-places-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(mkdir("volume", 0755) | mkdir("volume/..1", 0755) | mkdir("app", 0755) | mkdir("app/rel", 0755) |
                         mkdir("app/rel/1", 0755) | mkdir("far", 0755) | mkdir("var", 0755),
                     0);
    assert_int_equal(symlink("..1", "volume/..data") | symlink("..data/token", "volume/token") |
                         symlink("rel/1", "app/current") | symlink("../far/file", "app/away") |
                         symlink("../far", "var/run"),
                     0);
    assert_int_equal(fclose(fopen("volume/..1/token", "we")) | fclose(fopen("app/rel/1/file", "we")) |
                         fclose(fopen("far/file", "we")),
                     0);
    *state = directory;
    return 0;
}

static int remove_tree(void **state)
{
    char command[128];

    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    return system(command);
}

static uint64_t rights_below(const struct told *told, const char *directory, const char *below)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, below);
    return rights_of(told, path);
}

static void test_place_file_opens_where_it_may_be_turned(void **state)
{
    /* What is read, which directories must be open, and which must not. */
    static const struct {
        const char *file, *open[3], *closed;
    } rows[] = {
        {"far/file", {"far"}, "volume"},
        {"volume/token", {"volume", "volume/..1"}, "far"},
        {"app/current/file", {"app", "app/rel/1"}, "far"},
        {"app/away", {"app", "far"}, "volume"},
        {"var/run/file", {"far"}, "var"},
        {"far/absent", {"far"}, "volume"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct needs_place place = {.kind = NEEDS_FILE, .path = rows[i].file};
        struct told told = {.n = 0};

        assert_int_equal(place_each(&place, tell, &told), 0);
        for (size_t j = 0; j < ARRAY_LENGTH(rows[i].open) && rows[i].open[j]; j++)
            assert_int_equal(rights_below(&told, *state, rows[i].open[j]), LANDLOCK_READ_FILE | LANDLOCK_READ_DIR);
        assert_int_equal(rights_below(&told, *state, rows[i].closed), 0);
    }
}

static void test_place_root_is_never_opened_for_a_file(void **state)
{
    struct needs_place place = {.kind = NEEDS_FILE, .path = "/porthole-is-not-here.json"};
    struct told told = {.n = 0};

    (void)state;
    assert_int_equal(place_each(&place, tell, &told), 0);
    assert_int_equal(told.n, 0);
    place.path = "/dev/null";
    assert_int_equal(place_each(&place, tell, &told), 0);
    assert_int_equal(told.n, 0);
}

static void test_place_log_that_is_a_device_opens_itself(void **state)
{
    struct needs_place place = {.kind = NEEDS_LOG, .path = "/dev/null"};
    struct told told = {.n = 0};

    (void)state;
    assert_int_equal(place_each(&place, tell, &told), 0);
    assert_int_equal(rights_of(&told, "/dev/null"), LANDLOCK_WRITE_FILE);
    place.path = "far/file";
    assert_int_equal(place_each(&place, tell, &told), 0);
    assert_int_equal(rights_of(&told, "far"), LANDLOCK_WRITE_FILE | LANDLOCK_MAKE_REG);
    assert_int_equal(told.n, 2);
}

static void test_place_socket_opens_above_only_what_is_made_again(void **state)
{
    struct needs_place place = {.kind = NEEDS_PUBLISHED, .path = "/run/a/a.sock"};
    struct told told = {.n = 0};

    (void)state;
    assert_int_equal(place_each(&place, tell, &told), 0);
    assert_int_equal(told.n, 1);
    assert_true(rights_of(&told, "/run/a") & LANDLOCK_MAKE_SOCK);
    assert_false(rights_of(&told, "/run/a") & (LANDLOCK_WRITE_FILE | LANDLOCK_EXECUTE));
    place.with_directory = true;
    assert_int_equal(place_each(&place, tell, &told), 0);
    assert_true(rights_of(&told, "/run") & LANDLOCK_MAKE_DIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs_sockets_alone_open_no_name_service),
        cmocka_unit_test(test_needs_names_and_tls_open_what_they_read),
        cmocka_unit_test(test_needs_abstract_target_is_noticed),
        cmocka_unit_test(test_privileges_are_what_listeners_name),
        cmocka_unit_test_setup_teardown(test_place_file_opens_where_it_may_be_turned, make_tree, remove_tree),
        cmocka_unit_test(test_place_root_is_never_opened_for_a_file),
        cmocka_unit_test_setup_teardown(test_place_log_that_is_a_device_opens_itself, make_tree, remove_tree),
        cmocka_unit_test(test_place_socket_opens_above_only_what_is_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
