/* Where the memory of a control group is told, of both versions, and what is made of it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/cgroup.h"
#include "proxy/base/error.h"
#include "proxy/base/memory_gauge.h"

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                                 \
    "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup " \
    "cgroup rw,memory\n"

static struct cgroup_place find(const char *membership, const char *mounts)
{
    struct cgroup_place place;

    cgroup_find(text_of(membership), text_of(mounts), TEXT_LITERAL("memory"), &place);
    return place;
}

static void test_cgroup_of_version_2_is_found_below_its_mount(void **state UNUSED)
{
    struct cgroup_place place = find("0::/system.slice/porthole.service\n", V1_MOUNT V2_MOUNT);

    assert_int_equal(place.version, CGROUP_V2);
    assert_string_equal(place.directory, "/sys/fs/cgroup/system.slice/porthole.service");
    assert_true(cgroup_go_up(&place));
    assert_string_equal(place.directory, "/sys/fs/cgroup/system.slice");
    assert_true(cgroup_go_up(&place));
    assert_string_equal(place.directory, "/sys/fs/cgroup");
    assert_false(cgroup_go_up(&place));
}

static void test_cgroup_of_version_1_comes_first_where_it_has_memory(void **state UNUSED)
{
    struct cgroup_place place = find("5:cpu,memory:/a b\n4:name=systemd:/x\n0::/y\n", V2_MOUNT V1_MOUNT);

    assert_int_equal(place.version, CGROUP_V1);
    assert_string_equal(place.directory, "/sys/fs/cgroup/memory/a b");
    place = find("5:cpu:/a\n0::/y\n", V2_MOUNT V1_MOUNT);
    assert_int_equal(place.version, CGROUP_V2);
    assert_string_equal(place.directory, "/sys/fs/cgroup/y");
}

static void test_cgroup_inside_of_a_container_is_the_mount(void **state UNUSED)
{
    /* A namespace of its own; the host's path, of which this is the mount; one outside; one that only begins alike. */
    assert_string_equal(find("0::/\n", V2_MOUNT).directory, "/sys/fs/cgroup");
    assert_string_equal(
        find("4:memory:/docker/abc\n", "35 31 0:32 /docker/abc /m ro - cgroup cgroup rw,memory\n").directory, "/m");
    assert_string_equal(
        find("4:memory:/docker/abc/in\n", "35 31 0:32 /docker/abc /m ro - cgroup cgroup rw,memory\n").directory,
        "/m/in");
    assert_string_equal(find("0::/../../other\n", V2_MOUNT).directory, "/sys/fs/cgroup");
    assert_string_equal(
        find("4:memory:/docker/abcd\n", "35 31 0:32 /docker/abc /m ro - cgroup cgroup rw,memory\n").directory, "/m");
}

static void test_cgroup_mount_with_blanks_is_read(void **state UNUSED)
{
    assert_string_equal(find("0::/x\n", "35 31 0:32 / /my\\040groups\\134 rw - cgroup2 none rw\n").directory,
                        "/my groups\\/x");
}

static void test_cgroup_is_none_where_nothing_says_so(void **state UNUSED)
{
    assert_int_equal(find("", V2_MOUNT).version, CGROUP_NONE);
    assert_int_equal(find("0::/\n", "").version, CGROUP_NONE);
    assert_int_equal(find("0::\nrubbish\n:::\n", V2_MOUNT).version, CGROUP_NONE);
    assert_int_equal(find("0::/\n", "35 31 0:32 / sys rw - cgroup2 none rw\n35 31\n - cgroup2\n").version, CGROUP_NONE);
}

static void test_cgroup_bytes_are_a_number_or_no_limit(void **state UNUSED)
{
    assert_true(cgroup_bytes(TEXT_LITERAL("67108864\n")) == 67108864);
    assert_true(cgroup_bytes(TEXT_LITERAL("0")) == 0);
    assert_true(cgroup_bytes(TEXT_LITERAL("max\n")) == UINT64_MAX);
    assert_true(cgroup_bytes(TEXT_LITERAL("9223372036854771712\n")) == UINT64_MAX);
    assert_true(cgroup_bytes(TEXT_LITERAL("99999999999999999999999\n")) == UINT64_MAX);
    assert_true(cgroup_bytes(TEXT_LITERAL("-1\n")) == UINT64_MAX);
    assert_true(cgroup_bytes(TEXT_LITERAL("")) == UINT64_MAX);
}

static void test_cgroup_files_in_memory_can_be_had_back(void **state UNUSED)
{
    struct text stat =
        TEXT_LITERAL("anon 1\ninactive_anon 2\nactive_file 30\ninactive_file 400\nslab_reclaimable 5000\n"
                     "slab 9\ntotal_inactive_file 60000\ntotal_active_file 700000\n");

    assert_true(cgroup_reclaimable(CGROUP_V2, stat) == 5430);
    assert_true(cgroup_reclaimable(CGROUP_V1, stat) == 760000);
    assert_true(cgroup_reclaimable(CGROUP_V2, TEXT_LITERAL("active_file\nactive_file 7")) == 0);
    assert_true(cgroup_reclaimable(CGROUP_V2, TEXT_LITERAL("")) == 0);
}

/* ---- the gauge, with files as the kernel has them ---- */

static char directory[] = "/tmp/porthole-cgroup-XXXXXX";

static void put(const char *name, const char *content)
{
    char path[256];
    FILE *to;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    to = fopen(path, "we");
    assert_non_null(to);
    fputs(content, to);
    fclose(to);
}

static void put_directory(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    mkdir(path, 0700);
}

static void open_gauge(struct memory_gauge *gauge, const char *membership, const char *type)
{
    char mounts[512], path[256], other[256];

    snprintf(mounts, sizeof(mounts), "35 31 0:32 / %s rw - %s none rw,memory\n", directory, type);
    put("membership", membership);
    put("mounts", mounts);
    snprintf(path, sizeof(path), "%s/membership", directory);
    snprintf(other, sizeof(other), "%s/mounts", directory);
    memory_gauge_open(gauge, path, other);
}

static void assert_figures(const struct memory_gauge *gauge, uint64_t used, uint64_t limit)
{
    struct memory_figures figures = memory_gauge_look(gauge);

    assert_int_equal(figures.used_bytes, used);
    assert_int_equal(figures.limit_bytes, limit);
}

static void test_memory_gauge_reads_version_2_and_follows_a_change(void **state UNUSED)
{
    struct memory_gauge gauge = MEMORY_GAUGE_INIT;

    put_directory("app");
    put("app/memory.max", "1000\n");
    put("app/memory.high", "max\n");
    put("app/memory.current", "700\n");
    put("app/memory.stat", "anon 500\ninactive_file 100\nactive_file 50\nslab_reclaimable 25\n");
    open_gauge(&gauge, "0::/app\n", "cgroup2");
    assert_int_equal(gauge.n_levels, 1);
    assert_figures(&gauge, 525, 1000);
    put("app/memory.high", "800\n");
    put("app/memory.current", "100\n");
    assert_figures(&gauge, 0, 800);
    put("app/memory.max", "600\n");
    put("app/memory.stat", "");
    assert_figures(&gauge, 100, 600);
    put("app/memory.max", "max\n");
    put("app/memory.high", "max\n");
    assert_true(memory_gauge_look(&gauge).limit_bytes == UINT64_MAX);
    memory_gauge_close(&gauge);
    memory_gauge_close(&gauge);
}

static void test_memory_gauge_takes_the_group_that_is_nearest_to_its_limit(void **state UNUSED)
{
    struct memory_gauge gauge = MEMORY_GAUGE_INIT;

    put_directory("up");
    put_directory("up/in");
    put_directory("up/in/free");
    put("up/memory.max", "10000\n");
    put("up/memory.current", "9000\n");
    put("up/in/memory.max", "1000\n");
    put("up/in/memory.current", "500\n");
    put("up/in/free/memory.max", "max\n");
    put("up/in/free/memory.current", "500\n");
    open_gauge(&gauge, "0::/up/in/free\n", "cgroup2");
    assert_int_equal(gauge.n_levels, 2);
    assert_figures(&gauge, 9000, 10000);
    put("up/memory.current", "500\n");
    assert_figures(&gauge, 500, 1000);
    memory_gauge_close(&gauge);
}

static void test_memory_gauge_reads_version_1(void **state UNUSED)
{
    struct memory_gauge gauge = MEMORY_GAUGE_INIT;

    put_directory("old");
    put("old/memory.limit_in_bytes", "1000\n");
    put("old/memory.usage_in_bytes", "700\n");
    put("old/memory.stat", "cache 9\ntotal_inactive_file 100\ntotal_active_file 50\n");
    open_gauge(&gauge, "4:memory:/old\n", "cgroup");
    assert_figures(&gauge, 550, 1000);
    memory_gauge_close(&gauge);
}

static void test_memory_gauge_without_a_limit_keeps_nothing_open(void **state UNUSED)
{
    struct memory_gauge gauge = MEMORY_GAUGE_INIT;

    put_directory("none");
    put("none/memory.limit_in_bytes", "9223372036854771712\n");
    put("none/memory.usage_in_bytes", "700\n");
    open_gauge(&gauge, "4:memory:/none\n", "cgroup");
    assert_int_equal(gauge.n_levels, 0);
    assert_true(memory_gauge_look(&gauge).limit_bytes == UINT64_MAX);
    assert_true(memory_gauge_own_bytes(&gauge) > 0);
    memory_gauge_close(&gauge);
    memory_gauge_open(&gauge, "/nonexistent", "/nonexistent");
    assert_int_equal(gauge.n_levels, 0);
    memory_gauge_close(&gauge);
    assert_int_equal(memory_gauge_own_bytes(&gauge), 0);
}

static void test_memory_gauge_sees_what_the_process_takes(void **state UNUSED)
{
    struct memory_gauge gauge = MEMORY_GAUGE_INIT;
    size_t size = (size_t)16 << 20;
    uint64_t before;
    volatile char *block;

    memory_gauge_open(&gauge, "/proc/self/cgroup", "/proc/self/mountinfo");
    before = memory_gauge_own_bytes(&gauge);
    block = malloc(size);
    assert_non_null(block);
    for (size_t i = 0; i < size; i += 4096)
        block[i] = 1;
    assert_true(memory_gauge_own_bytes(&gauge) >= before + size / 2);
    free((void *)block);
    memory_gauge_close(&gauge);
}

static int set_up(void **state UNUSED)
{
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    char command[300];

    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cgroup_of_version_2_is_found_below_its_mount),
        cmocka_unit_test(test_cgroup_of_version_1_comes_first_where_it_has_memory),
        cmocka_unit_test(test_cgroup_inside_of_a_container_is_the_mount),
        cmocka_unit_test(test_cgroup_mount_with_blanks_is_read),
        cmocka_unit_test(test_cgroup_is_none_where_nothing_says_so),
        cmocka_unit_test(test_cgroup_bytes_are_a_number_or_no_limit),
        cmocka_unit_test(test_cgroup_files_in_memory_can_be_had_back),
        cmocka_unit_test(test_memory_gauge_reads_version_2_and_follows_a_change),
        cmocka_unit_test(test_memory_gauge_takes_the_group_that_is_nearest_to_its_limit),
        cmocka_unit_test(test_memory_gauge_reads_version_1),
        cmocka_unit_test(test_memory_gauge_without_a_limit_keeps_nothing_open),
        cmocka_unit_test(test_memory_gauge_sees_what_the_process_takes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
