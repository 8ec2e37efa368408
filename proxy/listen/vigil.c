#include "proxy/listen/vigil.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

int vigil_peer(int connection)
{
    struct ucred ucred = {.pid = 0};
    socklen_t length = sizeof(int);
    int process = -1;

    /* Also of a process in another namespace, which has no number here. */
    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &process, &length) == 0)
        return process;
    length = sizeof(ucred);
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &ucred, &length) < 0)
        return -errno;
    if (ucred.pid <= 0)
        return -ESRCH;
    process = (int)syscall(SYS_pidfd_open, ucred.pid, 0);
    return process < 0 ? -errno : process;
}

static void vigil_on_end(struct source *source, uint32_t events)
{
    struct vigil *vigil = CONTAINER_OF(source, struct vigil, source);

    (void)events;
    vigil_end(vigil);
    vigil->ended(vigil);
}

void vigil_init(struct vigil *vigil, struct loop *loop, void (*ended)(struct vigil *vigil))
{
    *vigil = (struct vigil){.loop = loop, .ended = ended, .process = -1, .source = SOURCE_INIT};
}

void vigil_keep(struct vigil *vigil, int process)
{
    vigil_end(vigil);
    if (process < 0)
        return;
    vigil->process = process;
    if (loop_add(vigil->loop, &vigil->source, process, EPOLLIN, vigil_on_end) < 0)
        vigil_end(vigil);
}

void vigil_end(struct vigil *vigil)
{
    if (!vigil->loop)
        return;
    loop_remove(&vigil->source);
    if (vigil->process >= 0)
        close(vigil->process);
    vigil->process = -1;
}
