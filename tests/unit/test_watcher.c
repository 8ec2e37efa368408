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

#include "tests/unit/watcher_rig.h"

/* ---- how files change ---- */

static void test_watcher_file_that_is_renamed_over_is_told_once(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    watch_put_by_rename(rig, rig->path, watch_text(1));
    assert_true(watch_await_change(rig, SOON_MS) >= WATCHER_SETTLE_MS - 1);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_file_that_is_written_in_place_is_told_once(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    watch_put(rig->path, watch_text(1));
    watch_await_change(rig, SOON_MS);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_put(rig->path, watch_text(2));
    watch_await_change(rig, SOON_MS);
}

static void test_watcher_same_content_is_not_told(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    watch_put(rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_put_by_rename(rig, rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
    assert_int_equal(chmod(rig->path, 0600), 0);
    watch_expect_quiet(rig, A_WHILE_MS);
    /* There and back before anybody could look. */
    watch_put(rig->path, watch_text(1));
    watch_put(rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
}

/* A broken file that is mended as it was: whoever was told that it is broken is to be told that it is not. */
static void test_watcher_return_to_the_old_content_is_told(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    watch_put(rig->path, "{");
    watch_await_change(rig, SOON_MS);
    watch_put(rig->path, watch_simple);
    watch_await_change(rig, SOON_MS);
}

static void test_watcher_change_between_load_and_follow_is_told(void **state)
{
    struct watch_rig *rig = *state;

    watch_put(rig->path, watch_text(1));
    watch_follow(rig, rig->path, watch_simple);
    watch_await_change(rig, SOON_MS);
    watch_follow(rig, rig->path, watch_text(1));
    watch_expect_quiet(rig, A_WHILE_MS);
}

/* ---- half a file ---- */

static void test_watcher_writer_that_has_not_closed_is_waited_for(void **state)
{
    struct watch_rig *rig = *state;
    const char *text = watch_text(1);
    int fd;

    watch_begin(rig);
    fd = open(rig->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(write(fd, text, 20) == 20);
    watch_expect_quiet(rig, 1000);
    assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
    watch_expect_quiet(rig, A_WHILE_MS);
    close(fd);
    watch_await_change(rig, SOON_MS);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_writer_of_a_new_file_is_waited_for(void **state)
{
    struct watch_rig *rig = *state;
    const char *text = watch_text(1);
    int fd;

    watch_begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    fd = open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(write(fd, text, 20) == 20);
    watch_expect_quiet(rig, 1000);
    assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
    close(fd);
    watch_await_change(rig, SOON_MS);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_writer_is_waited_for_whatever_is_reloaded_meanwhile(void **state)
{
    struct watch_rig *rig = *state;
    const char *text = watch_text(1);
    int fd;

    watch_begin(rig);
    fd = open(rig->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(write(fd, text, 20) == 20);
    watch_turn(rig, 50);
    watch_follow(rig, rig->path, watch_simple);
    watch_expect_quiet(rig, 500);
    assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
    close(fd);
    watch_await_change(rig, SOON_MS);
    /* Which says what was found: nothing is to be read again. */
    watch_follow(rig, rig->path, text);
    assert_false(rig->watcher.files[0].unread);
    watch_follow(rig, rig->path, watch_simple);
    watch_await_change(rig, SOON_MS);
}

/* Or whoever keeps files open for writing could keep us from ever reading them. */
static void test_watcher_writer_is_not_waited_for_for_ever(void **state)
{
    struct watch_rig *rig = *state;
    const char *text = watch_text(1);
    int fd;

    watch_begin(rig);
    fd = open(rig->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(write(fd, text, strlen(text)) > 0);
    watch_expect_quiet(rig, A_WHILE_MS);
    assert_true(rig->watcher.files[0].writing.ns > 0);
    rig->watcher.files[0].writing.ns -= WATCHER_WRITER_MS * UINT64_C(1000000);
    watch_await_change(rig, 3000);
    close(fd);
}

/* A name can be made without anybody having it open. */
static void test_watcher_hard_link_needs_no_writer(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    watch_put(watch_name(rig, "next"), watch_text(1));
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(link(watch_name(rig, "next"), rig->path), 0);
    watch_await_change(rig, SOON_MS);
}

/* Writes the most of a text bit by bit, closing the file each time, more often than it is looked at. Where this machine
 * was too slow for that, it is not judged. Returns how often it was. */
static unsigned write_in_bits(struct watch_rig *rig, const char *text)
{
    unsigned n_judged = 0;
    bool was_slow = false, is_slow;

    for (size_t length = 1; length < strlen(text); length += 4) {
        struct instant begun = instant_now();
        unsigned before = rig->n_changed;
        char part[512];

        snprintf(part, length + 1, "%s", text);
        watch_put(rig->path, part);
        watch_turn(rig, 30);
        is_slow = instant_elapsed_us(begun, instant_now()) > 60 * 1000;
        if (!is_slow && !was_slow) {
            assert_int_equal(rig->n_changed, before);
            n_judged++;
        }
        was_slow = is_slow;
    }
    return n_judged;
}

static void test_watcher_file_that_grows_is_read_when_it_rests(void **state)
{
    struct watch_rig *rig = *state;
    const char *text = watch_text(1);
    unsigned n;

    watch_begin(rig);
    assert_true(write_in_bits(rig, text) > 0);
    n = rig->n_changed;
    watch_put(rig->path, text);
    watch_await_change(rig, SOON_MS);
    assert_int_equal(rig->n_changed, n + 1);
}

/* ---- removal ---- */

static void test_watcher_file_that_comes_back_at_once_is_not_told(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    watch_expect_quiet(rig, 500);
    watch_put(rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_file_that_stays_away_is_told_and_its_return_too(void **state)
{
    struct watch_rig *rig = *state;

    watch_begin(rig);
    assert_int_equal(unlink(rig->path), 0);
    watch_expect_quiet(rig, WATCHER_ABSENT_MS - 500);
    watch_await_change(rig, 500 + SOON_MS);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_put(rig->path, watch_simple);
    watch_await_change(rig, SOON_MS);
}

static void test_watcher_directory_that_is_replaced_is_followed(void **state)
{
    struct watch_rig *rig = *state;
    char file[128];

    assert_int_equal(mkdir(watch_name(rig, "etc"), 0755), 0);
    snprintf(file, sizeof(file), "%s/porthole.json", watch_name(rig, "etc"));
    watch_put(file, watch_simple);
    watch_follow(rig, file, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
    for (unsigned i = 1; i < 3; i++) {
        char old[16];

        snprintf(old, sizeof(old), "old%u", i);
        assert_int_equal(rename(watch_name(rig, "etc"), watch_name(rig, old)), 0);
        watch_turn(rig, 150);
        assert_int_equal(mkdir(watch_name(rig, "etc"), 0755), 0);
        watch_turn(rig, 150);
        watch_put(file, watch_text(i));
        watch_await_change(rig, SOON_MS);
    }
    watch_put(file, watch_text(7));
    watch_await_change(rig, SOON_MS);
}

/* ---- what else was read ---- */

static const char *text_with_files(const struct watch_rig *rig)
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
    struct watch_rig *rig = *state;

    watch_put(watch_name(rig, "a"), "a");
    watch_put(watch_name(rig, "b"), "");
    watch_put(rig->path, text_with_files(rig));
    watch_follow(rig, rig->path, text_with_files(rig));
    assert_int_equal(rig->watcher.n_files, 3);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_put(watch_name(rig, "b"), "b");
    watch_await_change(rig, SOON_MS);
    watch_put(watch_name(rig, "c"), "c");
    watch_expect_quiet(rig, A_WHILE_MS);
    /* Both at once are one change. */
    watch_put(watch_name(rig, "a"), "2");
    watch_put(watch_name(rig, "b"), "2");
    watch_await_change(rig, SOON_MS);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_awaited_file_is_told_when_it_can_be_read(void **state)
{
    struct watch_rig *rig = *state;
    char *paths[] = {(char *)(uintptr_t)watch_name(rig, "late"), (char *)(uintptr_t)watch_name(rig, "never")};

    watch_begin(rig);
    assert_int_equal(watcher_await(&rig->watcher, paths, 2), 0);
    assert_int_equal(rig->watcher.n_files, 3);
    assert_int_equal(watcher_await(&rig->watcher, paths, 1), 0);
    assert_int_equal(rig->watcher.n_files, 2);
    watch_expect_quiet(rig, WATCHER_ABSENT_MS + A_WHILE_MS);
    watch_put(watch_name(rig, "late"), "here");
    watch_await_change(rig, SOON_MS);
    watch_follow(rig, rig->path, watch_simple);
    assert_int_equal(rig->watcher.n_files, 1);
}

static void test_watcher_of_nothing_is_silent(void **state)
{
    struct watch_rig *rig = *state;
    char unwatched[512];

    watch_begin(rig);
    snprintf(unwatched, sizeof(unwatched), "{\"watch\":false,%s", watch_simple + 1);
    watch_put(rig->path, unwatched);
    watch_await_change(rig, SOON_MS);
    watch_follow(rig, rig->path, unwatched);
    assert_int_equal(rig->watcher.n_files, 0);
    watch_put(rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_follow(rig, rig->path, watch_simple);
    watch_put(rig->path, watch_text(1));
    watch_await_change(rig, SOON_MS);
    assert_int_equal(watcher_follow(&rig->watcher, NULL), 0);
    watch_put(rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
}

static void test_watcher_relative_path_is_of_where_we_are(void **state)
{
    struct watch_rig *rig = *state;
    char *before = getcwd(NULL, 0);

    watch_put(rig->path, watch_simple);
    assert_int_equal(chdir(rig->fixture->directory), 0);
    watch_follow(rig, "./x/../porthole.json", watch_simple);
    watch_expect_quiet(rig, 0);
    assert_int_equal(mkdir("x", 0755), 0);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_put(rig->path, watch_text(1));
    watch_await_change(rig, SOON_MS);
    assert_int_equal(chdir(before), 0);
    free(before);
}

/* ---- without inotify, and with too much of it ---- */

static void test_watcher_without_inotify_looks_every_second(void **state)
{
    struct watch_rig *rig = *state;
    struct rlimit limit, none;
    int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

    close(next);
    watch_put(rig->path, watch_simple);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){(rlim_t)next, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    watch_follow(rig, rig->path, watch_simple);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(rig->watcher.inotify_fd, -1);
    watch_expect_quiet(rig, A_WHILE_MS);
    watch_put(rig->path, watch_text(1));
    watch_await_change(rig, 1000 + SOON_MS);
    /* The next one is tried with it again. */
    watch_follow(rig, rig->path, watch_text(1));
    assert_true(rig->watcher.inotify_fd >= 0);
}

static int look_into_a_closed_directory(void *argument)
{
    struct watch_rig *rig = argument;
    struct instant end;

    watch_follow(rig, rig->path, watch_simple);
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
    struct watch_rig *rig = *state;

    watch_put(rig->path, watch_text(1));
    assert_int_equal(chmod(rig->fixture->directory, 0711), 0);
    assert_int_equal(fixture_as_stranger(look_into_a_closed_directory, rig), 0);
    assert_int_equal(chmod(rig->fixture->directory, 0755), 0);
}

/* Names that come and go beside it wake us ten times a second, not as often as they come. */
static void test_watcher_busy_directory_is_looked_at_ten_times_a_second(void **state)
{
    struct watch_rig *rig = *state;
    struct instant end;
    unsigned n_names = 0;

    watch_begin(rig);
    rig->n_looks = 0;
    end = instant_add_ms(instant_now(), 2000);
    for (; instant_before(instant_now(), end); n_names++) {
        int r;

        watch_put(watch_name(rig, "busy"), "x");
        r = loop_run_once(rig->watcher.loop, 0);
        assert_true(r >= 0);
        rig->n_looks += r > 0;
    }
    assert_in_range(rig->n_looks, 1, 60);
    assert_true(n_names > 200);
    assert_int_equal(rig->n_changed, 0);
    /* And what it is for is still seen. */
    watch_put(rig->path, watch_text(1));
    end = instant_add_ms(instant_now(), SOON_MS);
    for (; rig->n_changed == 0 && instant_before(instant_now(), end); n_names++) {
        watch_put(watch_name(rig, "busy"), "x");
        assert_true(loop_run_once(rig->watcher.loop, 0) >= 0);
    }
    assert_int_equal(rig->n_changed, 1);
}

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
