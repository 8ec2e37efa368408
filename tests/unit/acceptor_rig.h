/* What tests of acceptors share. */
#ifndef PORTHOLE_TESTS_UNIT_ACCEPTOR_RIG_H
#define PORTHOLE_TESTS_UNIT_ACCEPTOR_RIG_H

#include <sys/socket.h>
#include <sys/un.h>

#include "proxy/listen/acceptor.h"

#define BACKLOG 16
#define MOST_SERVED 64
#define PATIENCE_ROUNDS 1000

/* An acceptor of an abstract socket, whose host keeps whom it is given. */
struct acceptor_rig {
    struct acceptor_host host;
    struct acceptor acceptor;
    struct admission_house house;
    struct admission admission;
    struct listener_config listener;
    struct metrics metrics;
    struct sockaddr_un address;
    socklen_t address_bytes;
    int served[MOST_SERVED];
    struct admission_pass passes[MOST_SERVED];
    size_t n_served, n_let_go;
};

/* With the listener open, and so many places. All that it does fails the test when it does not work. */
void acceptor_rig_open(struct acceptor_rig *rig, uint32_t connections);
void acceptor_rig_close(struct acceptor_rig *rig);
/* Another listening socket of the rig's, under a new name. */
int acceptor_rig_listen(struct acceptor_rig *rig);
int acceptor_rig_connect(struct acceptor_rig *rig);
/* Who was served as number i has gone. */
void acceptor_rig_let_go(struct acceptor_rig *rig, size_t i);
/* For acceptor_host.let_go: counts. */
bool acceptor_rig_let_go_idle(struct acceptor_host *host, struct admission_pass *pass);
/* Until nothing more happens. */
void acceptor_rig_turn(struct acceptor_rig *rig);
void acceptor_rig_expect(struct acceptor_rig *rig, size_t n_served, enum acceptor_state state);
void acceptor_rig_expect_waiting(struct acceptor_rig *rig, size_t n);

#endif
