/* A server that runs in a thread of its own, with real workers. */
#ifndef PORTHOLE_TESTS_SERVER_RIG_H
#define PORTHOLE_TESTS_SERVER_RIG_H

#include <pthread.h>
#include <stdbool.h>

#include "config/load.h"
#include "proxy/server.h"
#include "tests/unit/publish_fixture.h"

#define PATIENCE_MS 20000
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define RESPONDS "\"routes\": [ { \"respond\": { \"status\": 200, \"body\": \"hi\" } } ]"
#define FORWARDS "\"routes\": [ { \"target\": \"unix:%s/target.sock\" } ]"
#define ONE "{ \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": \"unix:%s/app.sock\", "
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

struct running {
    struct server *server;
    pthread_t thread;
    int result;
};

/* `format` has the directory for each %s, here and below. */
struct snapshot *running_snapshot(struct fixture *fixture, const char *format);
/* A server that has started. 0, or the negative errno with which it could not be made. */
int running_make(struct fixture *fixture, const char *format, bool takeover, struct server **ret_server);
/* It runs from now on. */
void running_start(struct running *running);
/* Both. */
void running_begin(struct running *running, struct fixture *fixture, const char *format, bool takeover);
/* Waits for its own end. */
void running_join(struct running *running);
void running_end(struct running *running);

/* Receives until the text has come, or the end when it is NULL. */
void running_expect(int fd, const char *text);
/* Connects and sends. The descriptor is the caller's. */
int running_say(const char *path, const char *text);
/* A target that listens in the fixture's directory. */
int running_target(struct fixture *fixture);

#endif
