/* One connection being made, and what became of it: for tests of connecting. */
#ifndef PORTHOLE_TESTS_CONNECT_SCENE_H
#define PORTHOLE_TESTS_CONNECT_SCENE_H

#include "tests/unit/exchange_rig.h"

struct connect_scene {
    enum connect_result start;
    enum outcome outcome; /* OUTCOME_PENDING: not ended */
    struct failure failure;
    unsigned n_called;
    struct channel channel;
    struct attempt *attempt;
};

/* Begins a connection from the rig's endpoint, which is this address from now on. */
void connect_scene_begin(struct rig *rig, struct connect_scene *scene, enum address_kind kind, const char *name,
                         int port);
/* Lets the loop run until it is there or has failed. */
void connect_scene_await(struct rig *rig, struct connect_scene *scene);
/* Tries, and is told this outcome; nothing is left open. */
void connect_scene_fails(struct rig *rig, enum address_kind kind, const char *name, int port, enum outcome outcome);
/* Connects to whoever listens there, and moves a byte each way. */
void connect_scene_works(struct rig *rig, enum address_kind kind, const char *name, int port, int listen_fd);
/* Listens on a free port of the loopback device. A descriptor, or -1 where there is no such family. */
int connect_scene_listen(int family, int *ret_port);

#endif
