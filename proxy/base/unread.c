#include "proxy/base/unread.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_BYTES 1024

/* The kernel has answered when the question has been sent. Copies the attribute; 0 or a negative errno. */
static int unread_take(const void *answer, size_t length, unsigned short type, void *ret, size_t size)
{
    const struct nlmsghdr *header = answer;
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    const struct rtattr *attribute = (const struct rtattr *)(message + 1);
    size_t left;

    if (!NLMSG_OK(header, length) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
        return -ENOENT;
    for (left = header->nlmsg_len - NLMSG_LENGTH(sizeof(*message)); RTA_OK(attribute, left);
         attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type != type || RTA_PAYLOAD(attribute) < size)
            continue;
        memcpy(ret, RTA_DATA(attribute), size);
        return 0;
    }
    return -ENOENT;
}

/* Asks for one attribute of a Unix socket. 0 or a negative errno. */
static int unread_ask(int netlink, uint32_t inode, uint32_t show, unsigned short type, void *ret, size_t size)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req body;
    } question = {
        .header = {.nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = AF_UNIX,
                 .udiag_states = UINT32_MAX,
                 .udiag_ino = inode,
                 .udiag_show = show,
                 .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    ssize_t n;

    if (send(netlink, &question, sizeof(question), 0) < 0)
        return -errno;
    n = recv(netlink, answer, sizeof(answer), MSG_DONTWAIT);
    return n < 0 ? -errno : unread_take(answer, (size_t)n, type, ret, size);
}

int64_t unread_at_peer(int fd)
{
    struct unix_diag_rqlen queues = {0, 0};
    struct stat status;
    uint32_t peer = 0;
    int netlink, r;

    if (fstat(fd, &status) < 0)
        return -errno;
    netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0)
        return -errno;
    r = unread_ask(netlink, (uint32_t)status.st_ino, UDIAG_SHOW_PEER, UNIX_DIAG_PEER, &peer, sizeof(peer));
    if (r == 0)
        r = unread_ask(netlink, peer, UDIAG_SHOW_RQLEN, UNIX_DIAG_RQLEN, &queues, sizeof(queues));
    close(netlink);
    return r < 0 ? r : (int64_t)queues.udiag_rqueue;
}

int64_t unread_look(int fd)
{
    int64_t exact = unread_at_peer(fd);
    int unsent = 0;

    if (exact >= 0)
        return exact;
    return ioctl(fd, SIOCOUTQ, &unsent) == 0 ? unsent : 0;
}
