/* The watcher: which changes of files are told, when, and how often. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"
#include "proxy/watcher.h"
#include "tests/unit/publish_fixture.h"

#define SOON_MS 700 /* "well below a second", on a machine that is busy */
#define A_WHILE_MS 250

static const char simple[] =
    "{\"listeners\":[{\"bind\":\"unix:/tmp/w.sock\",\"routes\":[{\"respond\":{\"status\":200}}]}]}";

struct rig {
    struct fixture *fixture;
    struct watcher watcher;
    char path[96];
    unsigned n_changed;
    unsigned n_looks; /* rounds in which something was called */
};

static void on_changed(struct watcher *watcher)
{
    CONTAINER_OF(watcher, struct rig, watcher)->n_changed++;
}

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fixture_setup_in_memory((void **)&rig->fixture);
    rig->watcher = (struct watcher){.loop = loop_new(), .changed = on_changed};
    snprintf(rig->path, sizeof(rig->path), "%s", fixture_path(rig->fixture, "porthole.json"));
    *state = rig;
    return 0;
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;

    watcher_stop(&rig->watcher);
    watcher_stop(&rig->watcher);
    loop_free(rig->watcher.loop);
    fixture_teardown((void **)&rig->fixture);
    free(rig);
    return 0;
}

static const char *name_of(const struct rig *rig, const char *name)
{
    return fixture_path(rig->fixture, name);
}

static void put(const char *path, const char *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t length = (ssize_t)strlen(content);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, (size_t)length), length);
    assert_int_equal(close(fd), 0);
}

/* As an editor does, and whoever takes care. */
static void put_by_rename(const struct rig *rig, const char *path, const char *content)
{
    const char *other = name_of(rig, "next");

    put(other, content);
    assert_int_equal(rename(other, path), 0);
}

/* A text that is another one for each number. */
static const char *text_of_number(unsigned number)
{
    static char text[512];

    snprintf(text, sizeof(text), "{\"drain\":\"%us\",%s", number + 1, simple + 1);
    return text;
}

static void turn(struct rig *rig, uint64_t ms)
{
    struct instant end = instant_add_ms(instant_now(), ms);

    while (instant_before(instant_now(), end)) {
        int r = loop_run_once(rig->watcher.loop, 5);

        assert_true(r >= 0);
        rig->n_looks += r > 0;
    }
}

static uint64_t await_change(struct rig *rig, uint64_t most_ms)
{
    struct instant begun = instant_now(), end = instant_add_ms(begun, most_ms);
    unsigned before = rig->n_changed;

    while (rig->n_changed == before) {
        assert_true(instant_before(instant_now(), end));
        assert_true(loop_run_once(rig->watcher.loop, 5) >= 0);
    }
    return instant_elapsed_us(begun, instant_now()) / 1000;
}

static void expect_quiet(struct rig *rig, uint64_t ms)
{
    unsigned before = rig->n_changed;

    turn(rig, ms);
    assert_int_equal(rig->n_changed, before);
}

static void follow(struct rig *rig, const char *path, const char *text)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;

    assert_int_equal(config_parse(text, strlen(text), path, &snapshot, &problems), 0);
    problems_deinit(&problems);
    assert_int_equal(watcher_follow(&rig->watcher, snapshot), 0);
    snapshot_unref(snapshot);
}

static void begin(struct rig *rig)
{
    put(rig->path, simple);
    follow(rig, rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
}

/* ---- how files change ---- */

static void test_watcher_file_that_is_renamed_over_is_told_once(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    put_by_rename(rig, rig->path, text_of_number(1));
    assert_true(await_change(rig, SOON_MS) >= WATCHER_SETTLE_MS - 1);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_file_that_is_written_in_place_is_told_once(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    put(rig->path, text_of_number(1));
    await_change(rig, SOON_MS);
    expect_quiet(rig, A_WHILE_MS);
    put(rig->path, text_of_number(2));
    await_change(rig, SOON_MS);
}

static void test_watcher_same_content_is_not_told(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    put(rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
    put_by_rename(rig, rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
    assert_int_equal(chmod(rig->path, 0600), 0);
    expect_quiet(rig, A_WHILE_MS);
    /* There and back before anybody could look. */
    put(rig->path, text_of_number(1));
    put(rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
}

/* A broken file that is mended as it was: whoever was told that it is broken is to be told that it is not. */
static void test_watcher_return_to_the_old_content_is_told(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    put(rig->path, "{");
    await_change(rig, SOON_MS);
    put(rig->path, simple);
    await_change(rig, SOON_MS);
}

static void test_watcher_change_between_load_and_follow_is_told(void **state)
{
    struct rig *rig = *state;

    put(rig->path, text_of_number(1));
    follow(rig, rig->path, simple);
    await_change(rig, SOON_MS);
    follow(rig, rig->path, text_of_number(1));
    expect_quiet(rig, A_WHILE_MS);
}

/* ---- half a file ---- */

static void test_watcher_writer_that_has_not_closed_is_waited_for(void **state)
{
    struct rig *rig = *state;
    const char *text = text_of_number(1);
    int fd;

    begin(rig);
    fd = open(rig->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(write(fd, text, 20) == 20);
    expect_quiet(rig, 1000);
    assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
    expect_quiet(rig, A_WHILE_MS);
    close(fd);
    await_change(rig, SOON_MS);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_writer_of_a_new_file_is_waited_for(void **state)
{
    struct rig *rig = *state;
    const char *text = text_of_number(1);
    int fd;

    begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    fd = open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(write(fd, text, 20) == 20);
    expect_quiet(rig, 1000);
    assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
    close(fd);
    await_change(rig, SOON_MS);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_writer_is_waited_for_whatever_is_reloaded_meanwhile(void **state)
{
    struct rig *rig = *state;
    const char *text = text_of_number(1);
    int fd;

    begin(rig);
    fd = open(rig->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(write(fd, text, 20) == 20);
    turn(rig, 50);
    follow(rig, rig->path, simple);
    expect_quiet(rig, 500);
    assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
    close(fd);
    await_change(rig, SOON_MS);
    /* Which says what was found: nothing is to be read again. */
    follow(rig, rig->path, text);
    assert_false(rig->watcher.files[0].unread);
    follow(rig, rig->path, simple);
    await_change(rig, SOON_MS);
}

/* Or whoever keeps files open for writing could keep us from ever reading them. */
static void test_watcher_writer_is_not_waited_for_for_ever(void **state)
{
    struct rig *rig = *state;
    const char *text = text_of_number(1);
    int fd;

    begin(rig);
    fd = open(rig->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(write(fd, text, strlen(text)) > 0);
    expect_quiet(rig, A_WHILE_MS);
    assert_true(rig->watcher.files[0].writing.ns > 0);
    rig->watcher.files[0].writing.ns -= WATCHER_WRITER_MS * UINT64_C(1000000);
    await_change(rig, 3000);
    close(fd);
}

/* A name can be made without anybody having it open. */
static void test_watcher_hard_link_needs_no_writer(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    put(name_of(rig, "next"), text_of_number(1));
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(link(name_of(rig, "next"), rig->path), 0);
    await_change(rig, SOON_MS);
}

/* A file that is written bit by bit, closed each time. */
static void test_watcher_file_that_grows_is_read_when_it_rests(void **state)
{
    struct rig *rig = *state;
    const char *text = text_of_number(1);

    begin(rig);
    for (size_t length = 1; length <= strlen(text); length += 4) {
        char part[512];

        snprintf(part, length + 1, "%s", text);
        put(rig->path, part);
        expect_quiet(rig, 30);
    }
    put(rig->path, text);
    await_change(rig, SOON_MS);
    assert_int_equal(rig->n_changed, 1);
}

/* ---- links ---- */

static void swap(struct rig *rig, unsigned number, const char *content)
{
    char directory[96], file[128], name[32];

    snprintf(name, sizeof(name), "..2026_%u", number);
    snprintf(directory, sizeof(directory), "%s", name_of(rig, name));
    assert_int_equal(mkdir(directory, 0755), 0);
    snprintf(file, sizeof(file), "%s/porthole.json", directory);
    put(file, content);
    assert_int_equal(symlink(name, name_of(rig, "..data_tmp")), 0);
    assert_int_equal(rename(name_of(rig, "..data_tmp"), name_of(rig, "..data")), 0);
    if (number == 0)
        return;
    snprintf(name, sizeof(name), "..2026_%u", number - 1);
    snprintf(file, sizeof(file), "%s/porthole.json", name_of(rig, name));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(name_of(rig, name)), 0);
}

static void begin_with_links(struct rig *rig)
{
    swap(rig, 0, simple);
    assert_int_equal(symlink("..data/porthole.json", rig->path), 0);
    follow(rig, rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_swapped_directory_is_told_once(void **state)
{
    struct rig *rig = *state;

    begin_with_links(rig);
    for (unsigned i = 1; i < 4; i++) {
        swap(rig, i, text_of_number(i));
        await_change(rig, SOON_MS);
        expect_quiet(rig, A_WHILE_MS);
    }
    swap(rig, 4, text_of_number(3));
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_fifty_swaps_settle_on_the_last(void **state)
{
    struct rig *rig = *state;
    unsigned n;

    begin_with_links(rig);
    for (unsigned i = 1; i <= 50; i++) {
        swap(rig, i, text_of_number(i));
        turn(rig, 20);
    }
    n = rig->n_changed;
    assert_in_range(n, 0, 3);
    await_change(rig, SOON_MS);
    follow(rig, rig->path, text_of_number(50));
    expect_quiet(rig, A_WHILE_MS);
}

/* Watches of directories that are gone are not kept. */
static void test_watcher_keeps_no_watch_of_what_it_does_not_lead_through(void **state)
{
    struct rig *rig = *state;
    size_t n;

    begin_with_links(rig);
    n = rig->watcher.watches.n_items;
    for (unsigned i = 1; i < 4; i++) {
        swap(rig, i, text_of_number(i));
        await_change(rig, SOON_MS);
    }
    assert_int_equal(rig->watcher.watches.n_items, n);
}

static void test_watcher_link_that_leads_elsewhere_is_told(void **state)
{
    struct rig *rig = *state;

    put(name_of(rig, "first"), simple);
    put(name_of(rig, "second"), text_of_number(2));
    assert_int_equal(symlink(name_of(rig, "first"), rig->path), 0);
    follow(rig, rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(symlink("second", rig->path), 0);
    await_change(rig, SOON_MS);
    put(name_of(rig, "second"), text_of_number(3));
    await_change(rig, SOON_MS);
    put(name_of(rig, "first"), text_of_number(4));
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_circle_of_links_is_told_as_unreadable(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(symlink("porthole.json", rig->path), 0);
    expect_quiet(rig, A_WHILE_MS);
    await_change(rig, WATCHER_ABSENT_MS + SOON_MS);
    put_by_rename(rig, rig->path, simple);
    await_change(rig, SOON_MS);
}

/* ---- removal ---- */

static void test_watcher_file_that_comes_back_at_once_is_not_told(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    expect_quiet(rig, 500);
    put(rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_file_that_stays_away_is_told_and_its_return_too(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    expect_quiet(rig, WATCHER_ABSENT_MS - 500);
    await_change(rig, 500 + SOON_MS);
    expect_quiet(rig, A_WHILE_MS);
    put(rig->path, simple);
    await_change(rig, SOON_MS);
}

static void test_watcher_directory_that_is_replaced_is_followed(void **state)
{
    struct rig *rig = *state;
    char file[128];

    assert_int_equal(mkdir(name_of(rig, "etc"), 0755), 0);
    snprintf(file, sizeof(file), "%s/porthole.json", name_of(rig, "etc"));
    put(file, simple);
    follow(rig, file, simple);
    expect_quiet(rig, A_WHILE_MS);
    for (unsigned i = 1; i < 3; i++) {
        char old[16];

        snprintf(old, sizeof(old), "old%u", i);
        assert_int_equal(rename(name_of(rig, "etc"), name_of(rig, old)), 0);
        turn(rig, 150);
        assert_int_equal(mkdir(name_of(rig, "etc"), 0755), 0);
        turn(rig, 150);
        put(file, text_of_number(i));
        await_change(rig, SOON_MS);
    }
    put(file, text_of_number(7));
    await_change(rig, SOON_MS);
}

/* ---- what else was read ---- */

static const char *text_with_files(const struct rig *rig)
{
    static char text[1024];

    snprintf(text, sizeof(text),
             "{\"listeners\":[{\"bind\":\"unix:/tmp/w.sock\",\"routes\":["
             "{\"match\":{\"path\":\"/a\"},\"respond\":{\"status\":200,\"file\":\"%s/a\"}},"
             "{\"match\":{\"path\":\"/b\"},\"respond\":{\"status\":200,\"file\":\"%s/b\"}},"
             "{\"match\":{\"path\":\"/c\"},\"respond\":{\"status\":200,\"file\":\"%s/b\"}},"
             "{\"respond\":{\"status\":200}}]}]}",
             rig->fixture->directory, rig->fixture->directory, rig->fixture->directory);
    return text;
}

static void test_watcher_files_of_answers_are_told(void **state)
{
    struct rig *rig = *state;

    put(name_of(rig, "a"), "a");
    put(name_of(rig, "b"), "");
    put(rig->path, text_with_files(rig));
    follow(rig, rig->path, text_with_files(rig));
    assert_int_equal(rig->watcher.n_files, 3);
    expect_quiet(rig, A_WHILE_MS);
    put(name_of(rig, "b"), "b");
    await_change(rig, SOON_MS);
    put(name_of(rig, "c"), "c");
    expect_quiet(rig, A_WHILE_MS);
    /* Both at once are one change. */
    put(name_of(rig, "a"), "2");
    put(name_of(rig, "b"), "2");
    await_change(rig, SOON_MS);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_awaited_file_is_told_when_it_can_be_read(void **state)
{
    struct rig *rig = *state;
    char *paths[] = {(char *)(uintptr_t)name_of(rig, "late"), (char *)(uintptr_t)name_of(rig, "never")};

    begin(rig);
    assert_int_equal(watcher_await(&rig->watcher, paths, 2), 0);
    assert_int_equal(rig->watcher.n_files, 3);
    assert_int_equal(watcher_await(&rig->watcher, paths, 1), 0);
    assert_int_equal(rig->watcher.n_files, 2);
    expect_quiet(rig, WATCHER_ABSENT_MS + A_WHILE_MS);
    put(name_of(rig, "late"), "here");
    await_change(rig, SOON_MS);
    follow(rig, rig->path, simple);
    assert_int_equal(rig->watcher.n_files, 1);
}

static void test_watcher_of_nothing_is_silent(void **state)
{
    struct rig *rig = *state;
    char unwatched[512];

    begin(rig);
    snprintf(unwatched, sizeof(unwatched), "{\"watch\":false,%s", simple + 1);
    put(rig->path, unwatched);
    await_change(rig, SOON_MS);
    follow(rig, rig->path, unwatched);
    assert_int_equal(rig->watcher.n_files, 0);
    put(rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
    follow(rig, rig->path, simple);
    put(rig->path, text_of_number(1));
    await_change(rig, SOON_MS);
    assert_int_equal(watcher_follow(&rig->watcher, NULL), 0);
    put(rig->path, simple);
    expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_relative_path_is_of_where_we_are(void **state)
{
    struct rig *rig = *state;
    char *before = getcwd(NULL, 0);

    put(rig->path, simple);
    assert_int_equal(chdir(rig->fixture->directory), 0);
    follow(rig, "./x/../porthole.json", simple);
    expect_quiet(rig, 0);
    assert_int_equal(mkdir("x", 0755), 0);
    expect_quiet(rig, A_WHILE_MS);
    put(rig->path, text_of_number(1));
    await_change(rig, SOON_MS);
    assert_int_equal(chdir(before), 0);
    free(before);
}

/* ---- without inotify, and with too much of it ---- */

static void test_watcher_without_inotify_looks_every_second(void **state)
{
    struct rig *rig = *state;
    struct rlimit limit, none;
    int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

    close(next);
    put(rig->path, simple);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){(rlim_t)next, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    follow(rig, rig->path, simple);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(rig->watcher.inotify_fd, -1);
    expect_quiet(rig, A_WHILE_MS);
    put(rig->path, text_of_number(1));
    await_change(rig, 1000 + SOON_MS);
    /* The next one is tried with it again. */
    follow(rig, rig->path, text_of_number(1));
    assert_true(rig->watcher.inotify_fd >= 0);
}

static int look_into_a_closed_directory(void *argument)
{
    struct rig *rig = argument;
    struct instant end;

    follow(rig, rig->path, simple);
    if (!rig->watcher.blind)
        return 2;
    end = instant_add_ms(instant_now(), 3000);
    while (rig->n_changed == 0 && instant_before(instant_now(), end))
        if (loop_run_once(rig->watcher.loop, 5) < 0)
            return 3;
    return rig->n_changed == 1 ? 0 : 4;
}

static void test_watcher_directory_that_cannot_be_watched_is_looked_at_every_second(void **state)
{
    struct rig *rig = *state;

    put(rig->path, text_of_number(1));
    assert_int_equal(chmod(rig->fixture->directory, 0711), 0);
    assert_int_equal(fixture_as_stranger(look_into_a_closed_directory, rig), 0);
    assert_int_equal(chmod(rig->fixture->directory, 0755), 0);
}

/* Names that come and go beside it wake us ten times a second, not as often as they come. */
static void test_watcher_busy_directory_is_looked_at_ten_times_a_second(void **state)
{
    struct rig *rig = *state;
    struct instant end;
    unsigned n_names = 0;

    begin(rig);
    rig->n_looks = 0;
    end = instant_add_ms(instant_now(), 2000);
    for (; instant_before(instant_now(), end); n_names++) {
        int r;

        put(name_of(rig, "busy"), "x");
        r = loop_run_once(rig->watcher.loop, 0);
        assert_true(r >= 0);
        rig->n_looks += r > 0;
    }
    assert_in_range(rig->n_looks, 1, 60);
    assert_true(n_names > 200);
    assert_int_equal(rig->n_changed, 0);
    /* And what it is for is still seen. */
    put(rig->path, text_of_number(1));
    end = instant_add_ms(instant_now(), SOON_MS);
    for (; rig->n_changed == 0 && instant_before(instant_now(), end); n_names++) {
        put(name_of(rig, "busy"), "x");
        assert_true(loop_run_once(rig->watcher.loop, 0) >= 0);
    }
    assert_int_equal(rig->n_changed, 1);
}

#define WATCHER_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHER_TEST(test_watcher_file_that_is_renamed_over_is_told_once),
        WATCHER_TEST(test_watcher_file_that_is_written_in_place_is_told_once),
        WATCHER_TEST(test_watcher_same_content_is_not_told),
        WATCHER_TEST(test_watcher_return_to_the_old_content_is_told),
        WATCHER_TEST(test_watcher_change_between_load_and_follow_is_told),
        WATCHER_TEST(test_watcher_writer_that_has_not_closed_is_waited_for),
        WATCHER_TEST(test_watcher_writer_of_a_new_file_is_waited_for),
        WATCHER_TEST(test_watcher_writer_is_waited_for_whatever_is_reloaded_meanwhile),
        WATCHER_TEST(test_watcher_writer_is_not_waited_for_for_ever),
        WATCHER_TEST(test_watcher_hard_link_needs_no_writer),
        WATCHER_TEST(test_watcher_file_that_grows_is_read_when_it_rests),
        WATCHER_TEST(test_watcher_swapped_directory_is_told_once),
        WATCHER_TEST(test_watcher_fifty_swaps_settle_on_the_last),
        WATCHER_TEST(test_watcher_keeps_no_watch_of_what_it_does_not_lead_through),
        WATCHER_TEST(test_watcher_link_that_leads_elsewhere_is_told),
        WATCHER_TEST(test_watcher_circle_of_links_is_told_as_unreadable),
        WATCHER_TEST(test_watcher_file_that_comes_back_at_once_is_not_told),
        WATCHER_TEST(test_watcher_file_that_stays_away_is_told_and_its_return_too),
        WATCHER_TEST(test_watcher_directory_that_is_replaced_is_followed),
        WATCHER_TEST(test_watcher_files_of_answers_are_told),
        WATCHER_TEST(test_watcher_awaited_file_is_told_when_it_can_be_read),
        WATCHER_TEST(test_watcher_of_nothing_is_silent),
        WATCHER_TEST(test_watcher_relative_path_is_of_where_we_are),
        WATCHER_TEST(test_watcher_without_inotify_looks_every_second),
        WATCHER_TEST(test_watcher_directory_that_cannot_be_watched_is_looked_at_every_second),
        WATCHER_TEST(test_watcher_busy_directory_is_looked_at_ten_times_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
