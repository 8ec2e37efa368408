#include "proxy/serve/detour.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Makes a number lead elsewhere. The descriptors are good: what may fail is the moment. */
static int detour_lead(int to, int fd)
{
    int r;

    do
        r = dup3(to, fd, O_CLOEXEC);
    while (r < 0 && (errno == EINTR || errno == EBUSY));
    return r;
}

bool detour_begin(struct detour *detour, int fd)
{
    int ends[2], real;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    real = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (real < 0 || detour_lead(ends[0], fd) < 0) {
        if (real >= 0)
            close(real);
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    close(ends[0]);
    *detour = (struct detour){.fd = fd, .real = real, .sink = ends[1]};
    return true;
}

void detour_end(struct detour *detour)
{
    if (detour->real < 0)
        return;
    detour_lead(detour->real, detour->fd);
    close(detour->real);
    close(detour->sink);
    *detour = (struct detour)DETOUR_INIT;
}
