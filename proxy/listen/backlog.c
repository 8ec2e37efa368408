/* A TCP socket tells it itself, by the number that counts segments in other states (tcp(7), TCP_INFO: tcpi_unacked). Of
 * a Unix socket the kernel's diagnosis tells. */
#include "proxy/listen/backlog.h"

#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "proxy/base/diagnosis.h"
#include "proxy/listen/socket_option.h"

static bool backlog_read_unix(int diag_fd, int fd, uint32_t *ret_n)
{
    struct unix_diag_rqlen queues;
    struct stat status;

    if (diag_fd < 0 || fstat(fd, &status) < 0 ||
        diagnosis_ask(diag_fd, (uint32_t)status.st_ino, UDIAG_SHOW_RQLEN, UNIX_DIAG_RQLEN, &queues, sizeof(queues)) < 0)
        return false;
    *ret_n = queues.udiag_rqueue;
    return true;
}

bool backlog_read(int diag_fd, int fd, uint32_t *ret_n)
{
    struct tcp_info info;
    int domain = socket_option(fd, SO_DOMAIN);
    socklen_t length = sizeof(info);

    if (domain < 0)
        return false;
    if (domain == AF_UNIX)
        return backlog_read_unix(diag_fd, fd, ret_n);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return false;
    *ret_n = info.tcpi_unacked;
    return true;
}
