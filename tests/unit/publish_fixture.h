/* What the tests of listeners share: a directory of their own, configurations, clients and strangers. */
#ifndef PORTHOLE_TESTS_PUBLISH_FIXTURE_H
#define PORTHOLE_TESTS_PUBLISH_FIXTURE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "proxy/listen/listener.h"

#define FIXTURE_STRANGER 65534 /* a uid and gid that own nothing of ours */

/* One test's directory (mode 0755) and the path of the socket that it publishes there. */
struct fixture {
    char directory[64];
    char path[96];
    struct listener_config config; /* of `path`, all defaults */
};

/* cmocka's setup and teardown; *state is a struct fixture. The directory goes with everything in it. */
int fixture_setup(void **state);
/* The same where directories cost microseconds rather than milliseconds, if there is such a place. */
int fixture_setup_in_memory(void **state);
int fixture_teardown(void **state);

/* Directory and name, in a buffer that the sixteenth call after it overwrites. */
const char *fixture_path(const struct fixture *fixture, const char *name);
struct listener_config fixture_config(const char *path);

/* Publishes or fails the test. */
struct listener *fixture_publish(const struct listener_config *config, bool takeover);
/* Expects a failure with `code`, a message that contains `part`, and no descriptor left open. */
void fixture_expect_failure(const struct listener_config *config, bool takeover, int code, const char *part);

/* Connects (non-blocking), also to paths longer than sockaddr_un: a descriptor or a negative errno. */
int fixture_connect(const char *path);
struct stat fixture_stat(const char *path);
/* Entries of the directory, without . and .. */
int fixture_count_entries(const char *directory);
int fixture_count_descriptors(void);
/* The socket is all there is in the directory. */
void fixture_expect_only_socket(const struct fixture *fixture);

/* Leaves a socket file that nobody serves, as a killed process does. */
void fixture_make_stale(const char *path);

/* Runs fn in a child with the stranger's uid and gid and without groups; returns what fn returned (0..125). */
int fixture_as_stranger(int (*fn)(void *argument), void *argument);

#endif
