#include "proxy/base/unread.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/diagnosis.h"

int64_t unread_at_peer(int fd)
{
    struct unix_diag_rqlen queues = {0, 0};
    struct stat status;
    uint32_t peer = 0;
    int netlink, r;

    if (fstat(fd, &status) < 0)
        return -errno;
    netlink = diagnosis_open();
    if (netlink < 0)
        return netlink;
    r = diagnosis_ask(netlink, (uint32_t)status.st_ino, UDIAG_SHOW_PEER, UNIX_DIAG_PEER, &peer, sizeof(peer));
    if (r == 0)
        r = diagnosis_ask(netlink, peer, UDIAG_SHOW_RQLEN, UNIX_DIAG_RQLEN, &queues, sizeof(queues));
    close(netlink);
    return r < 0 ? r : (int64_t)queues.udiag_rqueue;
}

int unread_unsent(int fd)
{
    int unsent = 0;

    return ioctl(fd, SIOCOUTQ, &unsent) == 0 ? unsent : 0;
}

int64_t unread_look(int fd)
{
    int64_t exact = unread_at_peer(fd);

    return exact >= 0 ? exact : unread_unsent(fd);
}
