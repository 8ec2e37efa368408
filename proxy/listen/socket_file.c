#include "proxy/listen/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/listen/vigil.h"

#define PROC_BYTES 32 /* "/proc/self/fd/N" */

static void socket_file_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- addresses ---- */

bool socket_file_address(int fd, const char *name, struct sockaddr_un *ret_address)
{
    int n;

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d%s%s", fd, name ? "/" : "",
                 name ? name : "");
    return n > 0 && (size_t)n < sizeof(ret_address->sun_path);
}

/* ---- who serves one ---- */

static int socket_file_ask(int connection, struct socket_server *ret_server)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    struct ucred ucred;
    socklen_t size = sizeof(ucred);
    size_t n;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0 ||
        getpeername(connection, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    n = length > offsetof(struct sockaddr_un, sun_path) ? length - offsetof(struct sockaddr_un, sun_path) : 0;
    n = strnlen(address.sun_path, n < sizeof(address.sun_path) ? n : sizeof(address.sun_path));
    *ret_server = (struct socket_server){
        .known = true, .uid = ucred.uid, .claim = claim_parse((struct text){address.sun_path, n})};
    return 0;
}

static int socket_file_connect(int fd, struct socket_server *ret_server, int *ret_process)
{
    _cleanup_(socket_file_close) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un address;

    if (probe < 0)
        return -errno;
    socket_file_address(fd, NULL, &address);
    if (connect(probe, (struct sockaddr *)&address, sizeof(address)) == 0) {
        if (ret_process)
            *ret_process = vigil_peer(probe);
        return socket_file_ask(probe, ret_server);
    }
    if (errno != EAGAIN)
        return -errno;
    *ret_server = (struct socket_server){.known = false};
    return 0;
}

/* Our own file, whose mode keeps even us out: left by a process of ours that was killed, or by one that lives. It opens
 * nothing to anybody else that its owner may write to it for a moment. */
static int socket_file_probe_own(int fd, mode_t mode, struct socket_server *ret_server, int *ret_process)
{
    char proc[PROC_BYTES];
    int r;

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (chmod(proc, (mode & 07777) | S_IWUSR) < 0)
        return -EACCES;
    r = socket_file_connect(fd, ret_server, ret_process);
    if (chmod(proc, mode & 07777) < 0)
        return -errno;
    return r;
}

int socket_file_probe(int fd, struct socket_server *ret_server, int *ret_process)
{
    struct stat st;
    int r;

    if (ret_process)
        *ret_process = -1;
    r = socket_file_connect(fd, ret_server, ret_process);

    if (r == -EACCES && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
        r = socket_file_probe_own(fd, st.st_mode, ret_server, ret_process);
    return r;
}
