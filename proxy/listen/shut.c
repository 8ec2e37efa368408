/* A Unix socket that is shut refuses whoever comes, and its backlog can still be accepted. A TCP socket would lose its
 * backlog to shutdown(2), and when it is closed, whoever is in it is reset: somebody who came between the last accept
 * and the close has perhaps sent a request by then. So it is bound to a network interface that does not exist: there is
 * no socket any more for those who come, who are refused at once, and who has come may still be accepted, also one
 * whose handshake is not over. That needs no capability (Linux 5.7), once. */
#include "proxy/listen/shut.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/base/log.h"
#include "proxy/listen/socket_option.h"

void shut_listening_socket(int fd)
{
    const int nowhere = INT_MAX;
    int domain = socket_option(fd, SO_DOMAIN);

    if (domain < 0)
        return;
    if (domain == AF_UNIX) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    if (socket_option(fd, SO_BINDTOIFINDEX) == nowhere)
        return;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof(nowhere)) < 0)
        log_debug("whoever connects to a TCP socket at this moment may be reset: %s", strerror(errno));
}
