/* A client on a socket pair, or a connection of TCP, the frontend that serves it, and behind that the rig with its
 * target. */
#ifndef PORTHOLE_TESTS_CLIENT_RIG_H
#define PORTHOLE_TESTS_CLIENT_RIG_H

/* Of a target: an answer that has none is given one. */
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

#include "proxy/serve/frontend.h"
#include "tests/unit/exchange_rig.h"

struct front {
    struct rig *rig;
    struct frontend *frontend;
    int fd;      /* the client's end, non-blocking */
    bool is_tcp; /* the client comes over TCP */
    unsigned n_closed;
    size_t n_data;
    char data[RIG_BYTES]; /* what the client received, terminated */
};

/* cmocka's setup and teardown; *state is a struct front. Settings in the rig may be changed before front_open. */
int front_setup(void **state);
int front_teardown(void **state);

/* Starts the frontend and connects. */
void front_open(struct front *front);
/* The same, where bodies are moved beside the library however small they are. */
void front_open_moving(struct front *front);
/* Connects anew; the client before is closed. */
void front_connect(struct front *front);
/* What is sent to the client waits for it to read, but for a little. */
void front_make_slow(struct front *front);
/* The client; there must be one. */
struct client *front_client(struct front *front);
enum client_phase front_phase(struct front *front);
/* Fills a body in which no part is like another. */
void front_fill(char *body, size_t n);

/* As a worker does, at most `ms` of sleep. Whether anything was to be done. */
int front_round(struct front *front, int ms);
/* Goes on until there is nothing to do. */
void front_settle(struct front *front);
/* Waits for an outcome to be counted, and for the client's connection to be over then. */
void front_await(struct front *front, enum outcome outcome);

/* The client sends. */
void front_say(struct front *front, const char *data);
/* Appends what is there to front->data. */
void front_receive(struct front *front);
/* Receives, and expects all there is to have this beginning and this end. */
void front_expect(struct front *front, const char *first, const char *last);
void front_expect_closed(struct front *front);
/* Sends a request that the target must get. */
void front_reach_target(struct front *front, const char *request);
/* Another exchange over the client's connection, for which the target gets a connection anew, or not. */
void front_exchange_again(struct front *front, bool anew);
/* The target sends. */
void front_target_say(struct front *front, const char *data);

#endif
