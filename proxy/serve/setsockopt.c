/* setsockopt(2) as libmicrohttpd wants to hear it.
 *
 * Of a connection that was handed to it, libmicrohttpd does not know that it is no TCP connection, and so sets
 * TCP_NODELAY twice for every response. Linux answers EOPNOTSUPP on a Unix socket (unix_setsockopt); the library takes
 * only ENOPROTOOPT for "this is not TCP" and then stops trying (mhd_send.c, 1.0.10). This definition stands
 * before libc's, makes the same system call, and translates that one errno, which means the same to every other caller
 * (POSIX: "the option is not supported by the protocol"). Saves two system calls of seven per request. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    int r = (int)syscall(SYS_setsockopt, fd, level, name, value, length);

    if (r < 0 && level == IPPROTO_TCP && errno == EOPNOTSUPP)
        errno = ENOPROTOOPT;
    return r;
}
