#include "proxy/base/diagnosis.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_BYTES 1024

int diagnosis_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

    return fd < 0 ? -errno : fd;
}

/* Copies the attribute from the answer about this socket. 0 or a negative errno. */
static int diagnosis_take(const void *answer, size_t length, uint32_t inode, unsigned short type, void *ret,
                          size_t size)
{
    const struct nlmsghdr *header = answer;
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    const struct rtattr *attribute = (const struct rtattr *)(message + 1);
    size_t left;

    if (!NLMSG_OK(header, length) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)) || message->udiag_ino != inode)
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

int diagnosis_ask(int netlink, uint32_t inode, uint32_t show, unsigned short type, void *ret, size_t size)
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

    if (send(netlink, &question, sizeof(question), MSG_DONTWAIT) < 0)
        return -errno;
    n = recv(netlink, answer, sizeof(answer), MSG_DONTWAIT);
    return n < 0 ? -errno : diagnosis_take(answer, (size_t)n, inode, type, ret, size);
}
