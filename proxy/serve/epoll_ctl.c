/* epoll_ctl(2) as libmicrohttpd is to hear it (interest.h). This definition stands before libc's; for descriptors that
 * are not the library's it does the same. */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/serve/interest.h"

/* A connection of the library's is always watched, unless it is suspended, whether it wants that or not: it does not
 * mind. */
int epoll_ctl(int set_fd, int operation, int fd, struct epoll_event *event)
{
    if (interest_set_find(set_fd))
        return 0;
    return (int)syscall(SYS_epoll_ctl, set_fd, operation, fd, event);
}
