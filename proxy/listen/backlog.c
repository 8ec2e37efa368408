/* A TCP socket tells it itself, by the number that counts segments in other states (tcp(7), TCP_INFO: tcpi_unacked).
 * Nothing that a Unix socket can be asked does: of those the kernel's diagnosis tells, by their inode, to anybody. The
 * answer is there when the question has been sent. */
#include "proxy/listen/backlog.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/error.h"

#define ANSWER_BYTES 512

struct backlog_question {
    struct nlmsghdr head;
    struct unix_diag_req request;
};

int backlog_open(void)
{
    return socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
}

/* The attributes of an answer are a list of type, length and value, each at the next multiple of four. */
static bool backlog_find(const char *at, size_t left, uint32_t *ret_n)
{
    while (left >= sizeof(struct nlattr)) {
        struct unix_diag_rqlen queue;
        struct nlattr head;
        size_t step;

        memcpy(&head, at, sizeof(head));
        if (head.nla_len < NLA_HDRLEN || head.nla_len > left)
            return false;
        if (head.nla_type == UNIX_DIAG_RQLEN && head.nla_len >= NLA_HDRLEN + sizeof(queue)) {
            memcpy(&queue, at + NLA_HDRLEN, sizeof(queue));
            *ret_n = queue.udiag_rqueue;
            return true;
        }
        step = NLA_ALIGN((size_t)head.nla_len);
        if (step >= left)
            return false;
        at += step;
        left -= step;
    }
    return false;
}

static bool backlog_parse(const char *answer, size_t length, uint32_t inode, uint32_t *ret_n)
{
    struct unix_diag_msg message;
    struct nlmsghdr head;

    if (length < sizeof(head) + sizeof(message))
        return false;
    memcpy(&head, answer, sizeof(head));
    memcpy(&message, answer + sizeof(head), sizeof(message));
    if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || message.udiag_ino != inode)
        return false;
    return backlog_find(answer + sizeof(head) + sizeof(message), length - sizeof(head) - sizeof(message), ret_n);
}

static bool backlog_read_unix(int diag_fd, uint32_t inode, uint32_t *ret_n)
{
    struct backlog_question question = {
        .head = {.nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = UINT32_MAX,
                    .udiag_ino = inode,
                    .udiag_show = UDIAG_SHOW_RQLEN,
                    .udiag_cookie = {UINT32_MAX, UINT32_MAX}}};
    char answer[ANSWER_BYTES];
    ssize_t n;

    if (send(diag_fd, &question, sizeof(question), MSG_DONTWAIT) < 0)
        return false;
    n = recv(diag_fd, answer, sizeof(answer), MSG_DONTWAIT);
    return n > 0 && backlog_parse(answer, (size_t)n, inode, ret_n);
}

bool backlog_read(int diag_fd, int fd, uint32_t *ret_n)
{
    struct tcp_info info;
    struct stat status;
    int domain = AF_UNSPEC;
    socklen_t length = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
        return false;
    if (domain == AF_UNIX)
        return diag_fd >= 0 && fstat(fd, &status) == 0 && backlog_read_unix(diag_fd, (uint32_t)status.st_ino, ret_n);
    length = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return false;
    *ret_n = info.tcpi_unacked;
    return true;
}
