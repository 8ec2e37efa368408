#include "tests/unit/watcher_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"

const char watch_simple[] =
    "{\"listeners\":[{\"bind\":\"unix:/tmp/w.sock\",\"routes\":[{\"respond\":{\"status\":200}}]}]}";

static void on_changed(struct watcher *watcher)
{
    CONTAINER_OF(watcher, struct watch_rig, watcher)->n_changed++;
}

int watch_setup(void **state)
{
    struct watch_rig *rig = calloc(1, sizeof(*rig));

    fixture_setup_in_memory((void **)&rig->fixture);
    rig->watcher = (struct watcher){.loop = loop_new(), .changed = on_changed};
    snprintf(rig->path, sizeof(rig->path), "%s", fixture_path(rig->fixture, "porthole.json"));
    *state = rig;
    return 0;
}

int watch_teardown(void **state)
{
    struct watch_rig *rig = *state;

    watcher_stop(&rig->watcher);
    watcher_stop(&rig->watcher);
    loop_free(rig->watcher.loop);
    fixture_teardown((void **)&rig->fixture);
    free(rig);
    return 0;
}

const char *watch_name(const struct watch_rig *rig, const char *name)
{
    return fixture_path(rig->fixture, name);
}

void watch_put(const char *path, const char *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t length = (ssize_t)strlen(content);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, (size_t)length), length);
    assert_int_equal(close(fd), 0);
}

void watch_put_by_rename(const struct watch_rig *rig, const char *path, const char *content)
{
    const char *other = watch_name(rig, "next");

    watch_put(other, content);
    assert_int_equal(rename(other, path), 0);
}

const char *watch_text(unsigned number)
{
    static char text[512];

    snprintf(text, sizeof(text), "{\"drain\":\"%us\",%s", number + 1, watch_simple + 1);
    return text;
}

void watch_turn(struct watch_rig *rig, uint64_t ms)
{
    struct instant end = instant_add_ms(instant_now(), ms);

    while (instant_before(instant_now(), end)) {
        int r = loop_run_once(rig->watcher.loop, 5);

        assert_true(r >= 0);
        rig->n_looks += r > 0;
    }
}

/* A round that takes longer is this machine's doing, not the watcher's. */
#define ROUND_US 20000u

uint64_t watch_await_change(struct watch_rig *rig, uint64_t most_ms)
{
    struct instant begun = instant_now();
    unsigned before = rig->n_changed;
    uint64_t passed_us = 0;

    while (rig->n_changed == before) {
        struct instant round = instant_now();
        uint64_t us;

        assert_true(passed_us <= most_ms * 1000);
        assert_true(loop_run_once(rig->watcher.loop, 5) >= 0);
        us = instant_elapsed_us(round, instant_now());
        passed_us += us < ROUND_US ? us : ROUND_US;
    }
    return instant_elapsed_us(begun, instant_now()) / 1000;
}

void watch_expect_quiet(struct watch_rig *rig, uint64_t ms)
{
    unsigned before = rig->n_changed;

    watch_turn(rig, ms);
    assert_int_equal(rig->n_changed, before);
}

void watch_follow(struct watch_rig *rig, const char *path, const char *text)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;

    assert_int_equal(config_parse(text, strlen(text), path, &snapshot, &problems), 0);
    problems_deinit(&problems);
    assert_int_equal(watcher_follow(&rig->watcher, snapshot), 0);
    snapshot_unref(snapshot);
}

void watch_begin(struct watch_rig *rig)
{
    watch_put(rig->path, watch_simple);
    watch_follow(rig, rig->path, watch_simple);
    watch_expect_quiet(rig, A_WHILE_MS);
}
