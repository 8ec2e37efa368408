/* What the tests of the data plane share: a worker's insides without the worker (loop, connector, one target, one
 * listener with one route), a client that only counts its wakes, and a target whose every byte the test moves by hand.
 * One thread; Unix sockets deliver at once, so nothing ever has to be waited for but timers. */
#ifndef PORTHOLE_TESTS_EXCHANGE_RIG_H
#define PORTHOLE_TESTS_EXCHANGE_RIG_H

#include <stddef.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/hand_over.h"
#include "proxy/exchange/request.h"

#define RIG_BYTES (1u << 20)
#define RIG_PATIENCE_MS 10000 /* for what must happen, on a busy machine too */

struct rig {
    char directory[64];
    char path[96];   /* of the target's socket */
    int listen_fd;   /* owned; the target's, non-blocking; -1 when closed */
    int target_fd;   /* owned; the connection accepted last, -1 */
    int descriptors; /* open before there was a rig */
    struct loop *loop;
    struct mailbox mailbox;
    struct resolver *resolver; /* asks name_service.h */
    struct connector *connector;
    struct commons commons;
    struct endpoints endpoints;
    struct endpoint_config endpoint;
    struct target_config target_config;
    struct generation *generation; /* a reference */
    struct target *target;         /* of the generation */
    struct route_config route;
    struct listener_config listener;
    struct snapshot snapshot;
    struct metrics metrics;
    struct exchange_env env;
    struct exchange_client client;
    unsigned n_wakes;
    int client_fd; /* owned; the client's end of a tunnel, non-blocking, -1 */
    struct admission_house house;
    struct admission admission;
    unsigned n_left;           /* clients whose pass has been given back */
    struct exchange *exchange; /* the one under test; NULL between */
    enum exchange_verdict verdict;
    struct answer answer;
    size_t n_body;        /* of `body` */
    char body[RIG_BYTES]; /* what the client was given, terminated */
    size_t n_received;
    char received[RIG_BYTES]; /* what the target was given last, terminated */
};

/* cmocka's setup and teardown; *state is a struct rig. The teardown fails when a connection, an exchange or a
 * descriptor is left. Settings may be changed before the first exchange. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* Makes another generation of the snapshot, whose limits have been changed. */
void rig_renew(struct rig *rig);

/* Does what other threads ask. */
void rig_heed(struct rig *rig);
/* Runs the loop, and the tunnels, until they have nothing to do. */
void rig_turn(struct rig *rig);
/* Runs the loop until the client has been woken again; fails when it is not. */
void rig_await_wake(struct rig *rig);
/* Runs the loop for so long. */
void rig_pass_ms(struct rig *rig, unsigned ms);
/* Runs the loop until this outcome has been counted; fails when it never is. */
void rig_await_outcome(struct rig *rig, enum outcome outcome);

/* ---- the client ---- */

/* Begins an exchange with a head as in http_text.h ("GET / 1\nHost: a"), which must live as long as it does. */
enum exchange_verdict rig_begin(struct rig *rig, const char *head);
enum exchange_body_result rig_send_body(struct rig *rig, const char *data);
/* Ends the request and lets the loop run. */
void rig_finish_request(struct rig *rig);
/* The same with trailers ("X-A:b\nX-C:d"), which must live until then. */
void rig_finish_request_with(struct rig *rig, const char *trailers);
/* The answer must be there. */
void rig_take_answer(struct rig *rig);
/* Takes the body, whichever kind it is, in pieces of at most `piece` bytes, until UPSTREAM_WAIT, _END or _CUT, which it
 * returns. */
ssize_t rig_take_body(struct rig *rig, size_t piece);
/* Ends the exchange, which must count this outcome and no other. */
void rig_end(struct rig *rig, bool delivered, enum outcome outcome);
/* The value of an answer's field that the client is told, NULL when it is not there. */
const char *rig_field(const struct rig *rig, const char *name);
/* Makes the two ends of a client that is to have a tunnel: the test's is rig->client_fd, the other one is returned. A
 * client made before is closed. */
/* A pass of user 7, who is the only one that there is. */
struct admission_pass rig_pass(struct rig *rig);
struct tunnel_client rig_make_client(struct rig *rig);
/* A whole GET over the target's present connection (or a new one), which stays with the target. */
void rig_one_exchange(struct rig *rig);

/* ---- the target ---- */

/* Accepts; fails when nobody has connected. Closes the one before. */
void rig_accept(struct rig *rig);
bool rig_has_connection(struct rig *rig);
/* Receives all there is (into rig->received); its count, or -1 at the end, or -2 for a reset. */
ssize_t rig_receive(struct rig *rig);
/* Receives, and expects a request with this beginning and this end. */
void rig_expect_request(struct rig *rig, const char *first, const char *last);
/* Sends, and lets the proxy look. */
void rig_send(struct rig *rig, const char *data);
void rig_send_bytes(struct rig *rig, const char *data, size_t length);
void rig_close(struct rig *rig);
void rig_stop_listening(struct rig *rig);

/* Idle connections to the target. */
uint32_t rig_n_idle(const struct rig *rig);

uint64_t rig_count(const struct rig *rig, enum outcome outcome);

/* Sends bytes together with a descriptor (unix(7), SCM_RIGHTS): receiving stops behind them, however much more there
 * is.
 */
void rig_send_with_descriptor(int fd, const char *data, size_t length);

#endif
