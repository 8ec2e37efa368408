/* Addresses, owners and the CPU quota: what the loader learns from outside the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/address.h"
#include "config/owner.h"
#include "config/workers.h"

#include <sys/stat.h>

static void write_file(const char *path, const char *text)
{
    FILE *to = fopen(path, "we");

    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

static const struct {
    const char *text;
    enum address_use use;
    enum address_kind kind;
    const char *name;
    uint16_t port;
} address_rows[] = {
    {"unix:/run/a.sock", ADDRESS_TO_BIND, ADDRESS_UNIX, "/run/a.sock", 0},
    {"unix:@a b", ADDRESS_TO_REACH, ADDRESS_ABSTRACT, "a b", 0},
    {"tcp:[::1]:80", ADDRESS_TO_BIND, ADDRESS_TCP, "::1", 80},
    {"tcp:localhost:65535", ADDRESS_TO_BIND, ADDRESS_TCP, "localhost", 65535},
    {"tcp:example.org:5432", ADDRESS_TO_REACH, ADDRESS_TCP, "example.org", 5432},
    {"tcp:[2001:db8::1]:1", ADDRESS_TO_REACH, ADDRESS_TCP, "2001:db8::1", 1},
    {"fd:web", ADDRESS_TO_BIND, ADDRESS_FD, "web", 0},
    {"fd:3", ADDRESS_TO_BIND, ADDRESS_FD, "3", 0},
    {"fd:a b.socket", ADDRESS_TO_BIND, ADDRESS_FD, "a b.socket", 0},
    {"http://example.org", ADDRESS_TO_REACH, ADDRESS_HTTP, "example.org", 80},
    {"http://0x7g", ADDRESS_TO_REACH, ADDRESS_HTTP, "0x7g", 80},
    {"http://0x7f.1.a", ADDRESS_TO_REACH, ADDRESS_HTTP, "0x7f.1.a", 80},
    {"https://127.0.0.1", ADDRESS_TO_REACH, ADDRESS_HTTPS, "127.0.0.1", 443},
    {"https://[2001:db8::1]:8443", ADDRESS_TO_REACH, ADDRESS_HTTPS, "2001:db8::1", 8443},
};

static void test_address_parse_takes_apart_every_kind(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(address_rows); i++) {
        struct error error = ERROR_INIT;
        struct address address = {0};
        assert_int_equal(address_parse(address_rows[i].text, address_rows[i].use, &address, &error), 0);
        assert_int_equal(address.kind, address_rows[i].kind);
        assert_string_equal(address.text, address_rows[i].text);
        assert_string_equal(address.name, address_rows[i].name);
        assert_int_equal(address.port, address_rows[i].port);
        address_deinit(&address);
    }
}

static void test_address_parse_refusal_leaves_output_alone(void **state UNUSED)
{
    static const char *const refused[] = {"",
                                          "unix:",
                                          "unix:a",
                                          "unix:/a/.",
                                          "unix:/a/..",
                                          "unix:/",
                                          "tcp:a",
                                          "http://",
                                          "http://:80",
                                          "http://[::1",
                                          "http://a:",
                                          "http://a:080",
                                          "http://a:80/",
                                          "http://::1",
                                          "http://1.2.3",
                                          "ftp://a:80",
                                          "HTTP://a",
                                          "tcp:",
                                          "tcp::1",
                                          "tcp:a:",
                                          "tcp:a:0",
                                          "tcp:a:65536",
                                          "tcp:[::1]",
                                          "tcp:::1:1",
                                          "tcp://a:1",
                                          "tcp:a:1/",
                                          "fd:web",
                                          "http://0x7f000001",
                                          "http://0x7F.1",
                                          "tcp:0X7f.0.0.0x1:1",
                                          "http://0177.1",
                                          "http://127.0x1."};

    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        struct error error = ERROR_INIT;
        struct address address = {.port = 7};
        print_message("%s\n", refused[i]);
        assert_int_equal(address_parse(refused[i], ADDRESS_TO_REACH, &address, &error), 1);
        assert_true(error.message[0] != '\0');
        assert_int_equal(address.port, 7);
        assert_null(address.text);
    }
}

static void test_address_parse_empty_host_advises_only_who_binds(void **state UNUSED)
{
    struct error error = ERROR_INIT;
    struct address address;

    assert_int_equal(address_parse("tcp::80", ADDRESS_TO_BIND, &address, &error), 1);
    assert_string_equal(error.message, "the host is empty (to listen everywhere write 0.0.0.0 or [::])");
    assert_int_equal(address_parse("tcp::80", ADDRESS_TO_REACH, &address, &error), 1);
    assert_string_equal(error.message, "the host is empty");
}

/* A socket on an IPv6 address takes IPv6 only, so this one could not be bound; to reach it is another matter. */
static void test_address_parse_ipv4_inside_ipv6_is_not_bound(void **state UNUSED)
{
    static const char *const texts[] = {"tcp:[::ffff:127.0.0.1]:80", "tcp:[0:0:0:0:0:FFFF:7f00:1]:80"};
    struct address address = {0};

    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct error error = ERROR_INIT;

        assert_int_equal(address_parse(texts[i], ADDRESS_TO_BIND, &address, &error), 1);
        assert_non_null(strstr(error.message, "is an IPv4 address within IPv6; write 127.0.0.1"));
        assert_int_equal(address_parse(texts[i], ADDRESS_TO_REACH, &address, &error), 0);
        address_deinit(&address);
    }
}

static void test_address_parse_names_of_descriptors_are_those_of_the_service_manager(void **state UNUSED)
{
    static const char *const refused[] = {"fd:", "fd:a:b", "fd:a\nb", "fd:\xc3\xa9"};
    char longest[] = {"fd:"
                      "0123456789012345678901234567890123456789012345678901234567890123"
                      "0123456789012345678901234567890123456789012345678901234567890123"
                      "0123456789012345678901234567890123456789012345678901234567890123"
                      "0123456789012345678901234567890123456789012345678901234567890123"};
    struct address address = {0};

    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        struct error error = ERROR_INIT;
        assert_int_equal(address_parse(refused[i], ADDRESS_TO_BIND, &address, &error), 1);
        assert_true(error.message[0] != '\0');
    }
    assert_int_equal(address_parse(longest, ADDRESS_TO_BIND, &address, &(struct error)ERROR_INIT), 1);
    longest[sizeof(longest) - 2] = '\0';
    assert_int_equal(address_parse(longest, ADDRESS_TO_BIND, &address, &(struct error)ERROR_INIT), 0);
    address_deinit(&address);
}

static const struct {
    const char *endpoint, *bind;
    bool reaches;
} loop_rows[] = {
    {"unix:/run/a", "unix:/run/a", true},
    {"unix:/run//./a", "unix:/run/a", true},
    {"unix:/run/a", "unix:/run/b", false},
    {"unix:@/run/a", "unix:/run/a", false},
    {"unix:@a", "unix:@a", true},
    {"http://127.0.0.1:8080", "tcp:0.0.0.0:8080", true},
    {"http://[::1]:8080", "tcp:0.0.0.0:8080", false},
    {"http://127.0.0.1:8080", "tcp:[::]:8080", false},
    {"http://[::1]:8080", "tcp:[::]:8080", true},
    {"http://[::ffff:127.0.0.1]:8080", "tcp:127.0.0.1:8080", true},
    {"http://[0::0001]:8080", "tcp:[::1]:8080", true},
    {"http://127.9.9.9:8080", "tcp:0.0.0.0:8080", true},
    {"http://127.9.9.9:8080", "tcp:127.0.0.1:8080", false},
    {"http://0.0.0.0:8080", "tcp:127.0.0.1:8080", true},
    {"http://LocalHost:8080", "tcp:127.0.0.1:8080", true},
    {"http://localhost:8080", "tcp:localhost:8080", true},
    {"http://127.example.org:8080", "tcp:0.0.0.0:8080", false},
    {"unix:/run/none/../a", "unix:/run/a", true},
    {"https://localhost:8080", "tcp:[::]:8080", true},
    {"http://127.0.0.1:8080", "tcp:127.0.0.1:8080", true},
    {"http://127.0.0.1:8081", "tcp:0.0.0.0:8080", false},
    {"http://example.org:8080", "tcp:0.0.0.0:8080", false},
    {"tcp:127.0.0.1:8080", "tcp:0.0.0.0:8080", true},
    {"tcp:[::1]:8080", "tcp:[::1]:8080", true},
    {"tcp:127.0.0.1:8080", "tcp:127.0.0.1:8081", false},
    {"tcp:localhost:8080", "unix:/run/a", false},
    {"unix:/run/web", "fd:web", false},
    {"http://127.0.0.1:8080", "tcp:localhost:8080", true},
    {"http://0.0.0.0:8080", "tcp:localhost:8080", true},
    {"http://[::ffff:127.0.0.1]:8080", "tcp:localhost:8080", true},
    {"http://[::1]:8080", "tcp:LOCALHOST.:8080", true},
    {"tcp:[::]:8080", "tcp:localhost:8080", true},
    {"http://127.0.0.1:8081", "tcp:localhost:8080", false},
    {"http://127.9.9.9:8080", "tcp:localhost:8080", false},
    {"http://10.0.0.1:8080", "tcp:localhost:8080", false},
    {"http://app.localhost:8080", "tcp:127.0.0.1:8080", true},
    {"http://a.App.localhost.:8080", "tcp:[::]:8080", true},
    {"http://localhost.:8080", "tcp:0.0.0.0:8080", true},
    {"http://app.localhost:8080", "tcp:other.localhost:8080", true},
    {"http://mylocalhost:8080", "tcp:127.0.0.1:8080", false},
    {"http://localhost.example.org:8080", "tcp:127.0.0.1:8080", false},
    {"http://ip6-localhost:8080", "tcp:[::1]:8080", true},
    {"http://IP6-loopback:8080", "tcp:[::]:8080", true},
    {"http://ip6-loopback:8080", "tcp:localhost:8080", true},
    {"http://localhost:8080", "tcp:ip6-localhost.:8080", true},
    {"http://[::1]:8080", "tcp:ip6-localhost:8080", true},
    {"http://ip6-localhost:8080", "tcp:127.0.0.1:8080", false},
    {"http://127.0.0.1:8080", "tcp:ip6-loopback:8080", false},
};

/* Whether a connection to the endpoint may arrive at what is bound. */
static bool reaches(const struct address *endpoint, const struct address *bind)
{
    char *takers[ADDRESS_TAKERS_MAX], *places[ADDRESS_TAKERS_MAX];
    size_t n = 0, n_places = 0;
    bool found = false;

    assert_int_equal(address_takers(endpoint, ADDRESS_TO_REACH, takers, &n), 0);
    assert_int_equal(address_takers(bind, ADDRESS_TO_BIND, places, &n_places), 0);
    assert_in_range(n, 1, ADDRESS_TAKERS_MAX);
    assert_in_range(n_places, 1, ADDRESS_TAKERS_MAX);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n_places; j++)
            found = found || strcmp(takers[i], places[j]) == 0;
    address_free_takers(takers, n);
    address_free_takers(places, n_places);
    return found;
}

static void test_address_takers_finds_loops(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(loop_rows); i++) {
        struct error error = ERROR_INIT;
        struct address endpoint, bind;
        print_message("%s %s\n", loop_rows[i].endpoint, loop_rows[i].bind);
        assert_int_equal(address_parse(loop_rows[i].endpoint, ADDRESS_TO_REACH, &endpoint, &error), 0);
        assert_int_equal(address_parse(loop_rows[i].bind, ADDRESS_TO_BIND, &bind, &error), 0);
        assert_int_equal(reaches(&endpoint, &bind), loop_rows[i].reaches);
        address_deinit(&endpoint);
        address_deinit(&bind);
    }
}

static void test_address_canonical_finds_one_socket_through_links(void **state UNUSED)
{
    char directory[] = "/tmp/test-config-XXXXXX", path[64], text[128], command[64];
    struct error error = ERROR_INIT;
    struct address endpoint, bind;

    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/link", directory);
    assert_int_equal(symlink(".", path), 0);
    snprintf(text, sizeof(text), "unix:%s//link/./link/a.sock", directory);
    assert_int_equal(address_parse(text, ADDRESS_TO_REACH, &endpoint, &error), 0);
    snprintf(text, sizeof(text), "unix:%s/none/../a.sock", directory);
    assert_int_equal(address_parse(text, ADDRESS_TO_BIND, &bind, &error), 0);
    assert_true(reaches(&endpoint, &bind));
    address_deinit(&endpoint);
    address_deinit(&bind);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

/* The canonical address of what is spelled `text`, which the caller frees. */
static char *canonical(const char *text)
{
    struct error error = ERROR_INIT;
    struct address address;
    char *spelled;

    assert_int_equal(address_parse(text, ADDRESS_TO_REACH, &address, &error), 0);
    spelled = address_canonical(&address);
    assert_non_null(spelled);
    address_deinit(&address);
    return spelled;
}

static const struct {
    const char *text, *canonical;
} canonical_rows[] = {
    {"unix:/nowhere/./x", "unix:/nowhere/x"},       {"unix:@X x", "unix:@X x"},
    {"http://Example.ORG", "tcp:[example.org]:80"}, {"https://example.org", "tcp:[example.org]:443"},
    {"tcp:[0:0::0001]:1", "tcp:[::1]:1"},           {"tcp:[::ffff:10.0.0.1]:1", "tcp:[10.0.0.1]:1"},
};

static void test_address_canonical_has_one_spelling(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(canonical_rows); i++) {
        char *spelled = canonical(canonical_rows[i].text);
        assert_string_equal(spelled, canonical_rows[i].canonical);
        free(spelled);
    }
}

static void test_owner_find_knows_numbers_and_names(void **state UNUSED)
{
    char directory[] = "/tmp/test-config-XXXXXX", path[64];
    struct error error = ERROR_INIT;
    uint32_t id = 7;

    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/passwd", directory);
    write_file(path, "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1234:99:::\n");
    assert_int_equal(owner_find("app", OWNER_USER, path, &id, &error), 0);
    assert_int_equal(id, 1234);
    assert_int_equal(owner_find("4294967294", OWNER_USER, path, &id, &error), 0);
    assert_int_equal(id, 4294967294u);
    assert_int_equal(owner_find("4294967295", OWNER_USER, path, &id, &error), 1);
    assert_int_equal(owner_find("nobody-here", OWNER_USER, path, &id, &error), 1);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(owner_find("", OWNER_USER, path, &id, &error), 1);
    assert_int_equal(id, 4294967294u);
    write_file(path, "app:x:77:a,b\n");
    assert_int_equal(owner_find("app", OWNER_GROUP, path, &id, &error), 0);
    assert_int_equal(id, 77);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(owner_find("app", OWNER_GROUP, path, &id, &error), 1);
    assert_non_null(strstr(error.message, "No such file"));
    assert_int_equal(rmdir(directory), 0);
}

/* The quota that results from a membership file and one control file below a mount (of version 2; of version 1 in
 * cpu/). */
static uint64_t quota_of(const char *membership, const char *where, const char *file, const char *text)
{
    char command[512], directory[] = "/tmp/test-config-XXXXXX", path[128], member[128], mounts[512];
    uint64_t quota;

    assert_non_null(mkdtemp(directory));
    snprintf(command, sizeof(command), "mkdir -p %s/%s", directory, where);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/%s/%s", directory, where, file);
    write_file(path, text);
    if (strcmp(file, "cpu.cfs_quota_us") == 0) {
        snprintf(path, sizeof(path), "%s/%s/cpu.cfs_period_us", directory, where);
        write_file(path, "100000\n");
    }
    snprintf(path, sizeof(path), "%s/mounts", directory);
    snprintf(mounts, sizeof(mounts),
             "30 23 0:26 / %s rw - cgroup2 none rw\n31 23 0:27 / %s/memory rw - cgroup none rw,memory\n"
             "32 23 0:28 / %s/cpu rw - cgroup none rw,cpu,cpuacct\n",
             directory, directory, directory);
    write_file(path, mounts);
    snprintf(member, sizeof(member), "%s/membership", directory);
    write_file(member, membership);
    quota = workers_quota(member, path);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
    return quota;
}

static void test_workers_quota_reads_both_cgroup_versions(void **state UNUSED)
{
    assert_true(quota_of("0::/\n", "", "cpu.max", "150000 100000\n") == 1500);
    assert_true(quota_of("0::/a/b\n", "a", "cpu.max", "50000 100000\n") == 500);
    assert_true(quota_of("0::/a/b\n", "a/b", "cpu.max", "max 100000\n") == UINT64_MAX);
    assert_true(quota_of("0::/not/visible\n", "", "cpu.max", "200000 100000\n") == 2000);
    assert_true(quota_of("0::/\n", "", "cpu.max", "rubbish\n") == UINT64_MAX);
    assert_true(quota_of("5:cpuacct,cpu:/x\n", "cpu/x", "cpu.cfs_quota_us", "250000\n") == 2500);
    assert_true(quota_of("5:cpu:/host\n", "cpu", "cpu.cfs_quota_us", "-1\n") == UINT64_MAX);
    assert_true(quota_of("5:cpuset:/\n", "cpu", "cpu.cfs_quota_us", "250000\n") == UINT64_MAX);
    assert_true(quota_of("5:cpu:/x\n0::/y\n", "y", "cpu.max", "150000 100000\n") == UINT64_MAX);
    assert_true(quota_of("0::/\n", "", "cpu.max", "1 100000\n") == 1);
    assert_true(quota_of("0::/\n", "", "cpu.max", "100000 0\n") == UINT64_MAX);
    assert_true(workers_quota("/nonexistent", "/nonexistent") == UINT64_MAX);
}

static void test_workers_auto_is_at_least_one_and_at_most_the_cpus(void **state UNUSED)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);

    assert_in_range(workers_auto(), 1, cpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_parse_takes_apart_every_kind),
        cmocka_unit_test(test_address_parse_refusal_leaves_output_alone),
        cmocka_unit_test(test_address_parse_ipv4_inside_ipv6_is_not_bound),
        cmocka_unit_test(test_address_parse_names_of_descriptors_are_those_of_the_service_manager),
        cmocka_unit_test(test_address_parse_empty_host_advises_only_who_binds),
        cmocka_unit_test(test_address_takers_finds_loops),
        cmocka_unit_test(test_address_canonical_finds_one_socket_through_links),
        cmocka_unit_test(test_address_canonical_has_one_spelling),
        cmocka_unit_test(test_owner_find_knows_numbers_and_names),
        cmocka_unit_test(test_workers_quota_reads_both_cgroup_versions),
        cmocka_unit_test(test_workers_auto_is_at_least_one_and_at_most_the_cpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
