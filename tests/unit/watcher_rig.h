/* A watcher of a file in a directory of its own, and what may happen to the file. */
#ifndef PORTHOLE_TESTS_WATCHER_RIG_H
#define PORTHOLE_TESTS_WATCHER_RIG_H

#include <stdint.h>

#include "proxy/watcher.h"
#include "tests/unit/publish_fixture.h"

#define SOON_MS 700 /* "well below a second", on a machine that is busy */
#define A_WHILE_MS 250
#define WATCHER_TEST(name) cmocka_unit_test_setup_teardown(name, watch_setup, watch_teardown)

/* A configuration. */
extern const char watch_simple[];

struct watch_rig {
    struct fixture *fixture;
    struct watcher watcher;
    char path[96];
    unsigned n_changed;
    unsigned n_looks; /* rounds in which something was called */
};

/* cmocka's; *state is a struct watch_rig. */
int watch_setup(void **state);
int watch_teardown(void **state);

/* A path in the directory, until the next ones are asked for (fixture_path). */
const char *watch_name(const struct watch_rig *rig, const char *name);
void watch_put(const char *path, const char *content);
/* As an editor does, and whoever takes care. */
void watch_put_by_rename(const struct watch_rig *rig, const char *path, const char *content);
/* A text that is another one for each number, until the next is asked for. */
const char *watch_text(unsigned number);

/* Goes on for so long. */
void watch_turn(struct watch_rig *rig, uint64_t ms);
/* Until a change is told, which must be within `most_ms`; after how many it was. */
uint64_t watch_await_change(struct watch_rig *rig, uint64_t most_ms);
/* For so long, in which no change may be told. */
void watch_expect_quiet(struct watch_rig *rig, uint64_t ms);

/* The file was read as this text. */
void watch_follow(struct watch_rig *rig, const char *path, const char *text);
/* The file is there, and is followed. */
void watch_begin(struct watch_rig *rig);

#endif
