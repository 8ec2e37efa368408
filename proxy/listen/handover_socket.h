/* The private socket by which a listener without a path is handed over: names, peers, packets and descriptors.
 *
 * It is an abstract one: abstract and TCP addresses belong to a network namespace, and so does it. Its name follows
 * from the listener's address, as it is bound, and from nothing else, for an address is served by one process of a
 * namespace: who finds another user's process behind the name knows who serves the address. Nobody but a process of our
 * own user is answered, or believed. */
#ifndef PORTHOLE_LISTEN_HANDOVER_SOCKET_H
#define PORTHOLE_LISTEN_HANDOVER_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "proxy/base/error.h"
#include "proxy/listen/handover_message.h"

/* What is handed over: the listener's socket and the private one, so that its name is never free on the way. */
enum { HANDOVER_LISTENER, HANDOVER_PRIVATE, HANDOVER_N_DESCRIPTORS };

/* A packet as it was received. */
struct handover_packet {
    char data[HANDOVER_MESSAGE_BYTES];
    struct handover_message message; /* its address lies in data */
    int fds[HANDOVER_N_DESCRIPTORS]; /* owned, close-on-exec; -1: none came */
};

/* Whom the kernel names at the other end. */
struct handover_peer {
    pid_t pid; /* 0 when it is in another namespace of processes */
    uid_t uid;
    bool ours; /* of our own user, for certain */
};

/* The address of a listening socket as text, the same for whoever binds it: "tcp:127.0.0.1:80", "tcp:[::1]:80",
 * "unix:@name". 0; -EAFNOSUPPORT for sockets of other kinds, -EINVAL for a name that cannot be said, or another errno.
 */
int handover_address(const struct sockaddr *address, socklen_t length, char out[HANDOVER_ADDRESS_BYTES]) WARN_UNUSED;
int handover_address_of(int fd, char out[HANDOVER_ADDRESS_BYTES]) WARN_UNUSED;

/* Binds the private socket for that address and listens; a descriptor or a negative errno, -EADDRINUSE when somebody
 * has the name. */
int handover_listen(const char *address) WARN_UNUSED;
/* Makes one that was handed over ours in the eyes of those who connect: SO_PEERCRED says who listened last. */
int handover_listen_again(int fd) WARN_UNUSED;
/* Connects to it. A descriptor, or -ECONNREFUSED: nobody offers it, -EAGAIN: too many ask, or another negative errno.
 */
int handover_connect(const char *address) WARN_UNUSED;
/* 0 or a negative errno. */
int handover_peer(int connection, struct handover_peer *ret_peer) WARN_UNUSED;

/* Sends a message, with descriptors when they are given: HANDOVER_N_DESCRIPTORS of them. Never waits. 0 or a negative
 * errno. */
int handover_send(int connection, enum handover_word word, const char *address, const int *fds) WARN_UNUSED;
/* Receives one. Never waits. 0; -EAGAIN: nothing is there; -ECONNRESET: it is at its end; -EPROTO: rubbish; -EMFILE:
 * descriptors came, for which there was no room; or another negative errno. */
int handover_receive(int connection, bool with_descriptors, struct handover_packet *ret_packet) WARN_UNUSED;
void handover_packet_deinit(struct handover_packet *packet);

/* Whether the descriptors are what they should be: a listening stream socket that is bound to that very address, and
 * its private one; makes them non-blocking. 0, -EPROTO when they are not, or another negative errno. */
int handover_check(const int fds[HANDOVER_N_DESCRIPTORS], const char *address) WARN_UNUSED;

#endif
