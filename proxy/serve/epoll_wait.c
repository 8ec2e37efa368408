/* epoll_wait(2) as libmicrohttpd is to hear it (interest.h). This definition stands before libc's; for descriptors that
 * are not the library's it does the same. The library never waits: the loop has. */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/serve/interest.h"

int epoll_wait(int set_fd, struct epoll_event *events, int n_most, int timeout_ms)
{
    struct interest_set *set = interest_set_find(set_fd);

    return set ? interest_set_take(set, events, n_most)
               : (int)syscall(SYS_epoll_pwait, set_fd, events, n_most, timeout_ms, NULL, 0);
}
