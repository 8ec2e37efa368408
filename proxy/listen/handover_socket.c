#include "proxy/listen/handover_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/sha256.h"

#define HANDOVER_PREFIX "porthole-takeover " /* of the private socket's name; the listener's address follows */
#define HANDOVER_BACKLOG 64
#define HANDOVER_OVERFLOW_ID 65534 /* whom the kernel names in place of users that our namespace does not have */
#define HANDOVER_ALL_IDS 4294967295u

/* ---- addresses and names ---- */

static int handover_abstract_address(const struct sockaddr_un *address, socklen_t length,
                                     char out[HANDOVER_ADDRESS_BYTES])
{
    const size_t at = offsetof(struct sockaddr_un, sun_path);
    struct text name = {address->sun_path + 1, length > at + 1 ? length - at - 1 : 0};

    if (name.length == 0 || address->sun_path[0] != '\0')
        return -EAFNOSUPPORT;
    if (!handover_fits_address(name))
        return -EINVAL;
    snprintf(out, HANDOVER_ADDRESS_BYTES, "unix:@%.*s", (int)name.length, name.data);
    return 0;
}

int handover_address(const struct sockaddr *address, socklen_t length, char out[HANDOVER_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN + 24], service[8]; /* the host with its interface, if it has one */

    if (address->sa_family == AF_UNIX)
        return handover_abstract_address((const struct sockaddr_un *)(const void *)address, length, out);
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    if (getnameinfo(address, length, host, sizeof(host), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) !=
        0)
        return -EINVAL;
    snprintf(out, HANDOVER_ADDRESS_BYTES, address->sa_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host, service);
    return 0;
}

int handover_address_of(int fd, char out[HANDOVER_ADDRESS_BYTES])
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    return handover_address((struct sockaddr *)&address, length, out);
}

/* As ss(8) shows it: what it is for, and for whom; a digest of an address that does not fit. */
static socklen_t handover_name(const char *address, struct sockaddr_un *ret_name)
{
    char digest[SHA256_HEX_BYTES];
    size_t room = sizeof(ret_name->sun_path) - 1;
    int n;

    *ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(ret_name->sun_path + 1, room, HANDOVER_PREFIX "%s", address);
    if (n < 0 || (size_t)n >= room) {
        sha256_hex(address, strlen(address), digest);
        n = snprintf(ret_name->sun_path + 1, room, HANDOVER_PREFIX "sha256:%s", digest);
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* ---- making and finding it ---- */

static int handover_open(const char *address, int (*open_at)(int fd, const struct sockaddr *name, socklen_t length))
{
    struct sockaddr_un name;
    socklen_t length = handover_name(address, &name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return -errno;
    r = open_at(fd, (struct sockaddr *)&name, length);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

static int handover_listen_at(int fd, const struct sockaddr *name, socklen_t length)
{
    return bind(fd, name, length) < 0 || listen(fd, HANDOVER_BACKLOG) < 0 ? -errno : 0;
}

static int handover_connect_to(int fd, const struct sockaddr *name, socklen_t length)
{
    return connect(fd, name, length) < 0 ? -errno : 0;
}

int handover_listen(const char *address)
{
    return handover_open(address, handover_listen_at);
}

int handover_listen_again(int fd)
{
    return listen(fd, HANDOVER_BACKLOG) < 0 ? -errno : 0;
}

int handover_connect(const char *address)
{
    return handover_open(address, handover_connect_to);
}

/* ---- who is there ---- */

/* Whether our namespace has every user, so that no two are shown to us as one. */
static bool handover_knows_all_users(void)
{
    FILE *map = fopen("/proc/self/uid_map", "re");
    uint64_t n_known = 0;
    unsigned inside, outside, n;

    if (!map)
        return false;
    while (fscanf(map, "%u %u %u", &inside, &outside, &n) == 3)
        n_known += n;
    fclose(map);
    return n_known >= HANDOVER_ALL_IDS;
}

int handover_peer(int connection, struct handover_peer *ret_peer)
{
    struct ucred ucred;
    socklen_t size = sizeof(ucred);

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
        return -errno;
    *ret_peer = (struct handover_peer){.pid = ucred.pid,
                                       .uid = ucred.uid,
                                       .ours = ucred.uid == geteuid() &&
                                               (ucred.uid != HANDOVER_OVERFLOW_ID || handover_knows_all_users())};
    return 0;
}

/* ---- packets ---- */

union handover_control {
    char bytes[CMSG_SPACE(sizeof(int[HANDOVER_N_DESCRIPTORS]))];
    struct cmsghdr align;
};

int handover_send(int connection, enum handover_word word, const char *address, const int *fds)
{
    char data[HANDOVER_MESSAGE_BYTES];
    struct iovec piece = {data, handover_format(word, address, data)};
    union handover_control control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (fds) {
        control.align = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                         .cmsg_type = SCM_RIGHTS,
                                         .cmsg_len = CMSG_LEN(sizeof(int[HANDOVER_N_DESCRIPTORS]))};
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int[HANDOVER_N_DESCRIPTORS]));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Takes the descriptors out: all or none of those that are expected. */
static int handover_take_descriptors(struct msghdr *message, struct handover_packet *packet)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(packet->fds, CMSG_DATA(c), (n < HANDOVER_N_DESCRIPTORS ? n : HANDOVER_N_DESCRIPTORS) * sizeof(int));
        if (n != HANDOVER_N_DESCRIPTORS)
            break;
    }
    if (message->msg_flags & MSG_CTRUNC)
        return -EMFILE;
    return (packet->fds[HANDOVER_LISTENER] < 0) == (packet->fds[HANDOVER_PRIVATE] < 0) ? 0 : -EPROTO;
}

int handover_receive(int connection, bool with_descriptors, struct handover_packet *ret_packet)
{
    union handover_control control;
    struct handover_packet packet = {.fds = {-1, -1}};
    struct iovec piece = {packet.data, sizeof(packet.data)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    ssize_t n;
    int r = 0;

    if (with_descriptors) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    n = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (n == 0)
        return -ECONNRESET;
    *ret_packet = packet;
    if (with_descriptors)
        r = handover_take_descriptors(&message, ret_packet);
    if (r == 0)
        r = message.msg_flags & MSG_TRUNC
                ? -EPROTO
                : handover_parse((struct text){ret_packet->data, (size_t)n}, &ret_packet->message);
    if (r < 0)
        handover_packet_deinit(ret_packet);
    return r;
}

void handover_packet_deinit(struct handover_packet *packet)
{
    for (int i = 0; i < HANDOVER_N_DESCRIPTORS; i++) {
        if (packet->fds[i] >= 0)
            close(packet->fds[i]);
        packet->fds[i] = -1;
    }
}

/* ---- what was handed over ---- */

static bool handover_is_listening(int fd, int type)
{
    int is_type = 0, accepts = 0;
    socklen_t length = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &is_type, &length) == 0 && is_type == type &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) == 0 && accepts;
}

static bool handover_has_name(int fd, const char *address)
{
    struct sockaddr_un name, bound = {.sun_family = AF_UNSPEC};
    socklen_t length = handover_name(address, &name), bound_length = sizeof(bound);

    return getsockname(fd, (struct sockaddr *)&bound, &bound_length) == 0 && bound_length == length &&
           memcmp(&bound, &name, length) == 0;
}

int handover_check(const int fds[HANDOVER_N_DESCRIPTORS], const char *address)
{
    char bound[HANDOVER_ADDRESS_BYTES];

    if (!handover_is_listening(fds[HANDOVER_LISTENER], SOCK_STREAM) ||
        handover_address_of(fds[HANDOVER_LISTENER], bound) < 0 || strcmp(bound, address) != 0)
        return -EPROTO;
    if (!handover_is_listening(fds[HANDOVER_PRIVATE], SOCK_SEQPACKET) ||
        !handover_has_name(fds[HANDOVER_PRIVATE], address))
        return -EPROTO;
    for (int i = 0; i < HANDOVER_N_DESCRIPTORS; i++)
        if (fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK) < 0)
            return -errno;
    return 0;
}
