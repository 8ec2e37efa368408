#include "proxy/reach/connect_socket.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PATH_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path))

static bool connect_socket_is_long(const struct address *address)
{
    return address->kind == ADDRESS_UNIX && strlen(address->name) >= UNIX_PATH_BYTES;
}

const char *connect_socket_path(const struct address *address)
{
    /* A long path is put in its place below; libcurl only has to know that it is a Unix socket. */
    return connect_socket_is_long(address) ? "/" : address->name;
}

/* Points libcurl's address at a Unix socket whose path is too long for sockaddr_un, through a descriptor of the socket
 * file that stays open until the attempt ends. libcurl lets the callback change the address
 * (CURLOPT_OPENSOCKETFUNCTION(3)), and keeps it in a sockaddr_storage. */
static int connect_socket_shorten(struct connect_socket *sock, struct curl_sockaddr *to)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    sock->file_fd = open(sock->address->name, O_PATH | O_CLOEXEC);
    if (sock->file_fd < 0)
        return -errno;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", sock->file_fd);
    memcpy((char *)to + offsetof(struct curl_sockaddr, addr), &address, sizeof(address));
    to->addrlen = sizeof(address);
    return 0;
}

/* A link-local address is nothing without its interface (RFC 4007 6), which libcurl cannot be told in a list. */
static void connect_socket_add_scope(const struct connect_socket *sock, struct curl_sockaddr *to)
{
    const union address_of *known = to->family == AF_INET6 ? addresses_find(sock->known, &to->addr) : NULL;

    if (known)
        memcpy((char *)to + offsetof(struct curl_sockaddr, addr) + offsetof(struct sockaddr_in6, sin6_scope_id),
               &known->six.sin6_scope_id, sizeof(known->six.sin6_scope_id));
}

static curl_socket_t connect_socket_on_open(void *closure, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct connect_socket *sock = closure;
    int fd;

    (void)purpose;
    if (connect_socket_is_long(sock->address)) {
        int r = connect_socket_shorten(sock, to);

        if (r < 0) {
            sock->error_number = -r;
            return CURL_SOCKET_BAD;
        }
    }
    if (sock->known)
        connect_socket_add_scope(sock, to);
    if (to->addrlen <= sizeof(sock->tried))
        memcpy(&sock->tried, &to->addr, to->addrlen);
    fd = socket(to->family, to->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->protocol);
    if (fd < 0)
        sock->error_number = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* A descriptor that was taken over is ours to close. */
static int connect_socket_on_close(void *closure, curl_socket_t fd)
{
    struct connect_socket *sock = closure;

    return sock && fd == sock->kept_fd ? 0 : close(fd);
}

void connect_socket_init(struct connect_socket *sock, const struct address *address)
{
    sock->address = address;
    sock->known = NULL;
    sock->kept_fd = sock->file_fd = -1;
    sock->error_number = 0;
    sock->tried.ss_family = 0;
}

void connect_socket_begin(struct connect_socket *sock, void *easy)
{
    sock->error_number = 0;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, connect_socket_on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, sock);
    /* Below TLS the descriptor stays libcurl's: it closes it with the handle, when the attempt is long gone. */
    if (sock->address->kind == ADDRESS_HTTPS)
        return;
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, connect_socket_on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, sock);
}

void connect_socket_where(const struct connect_socket *sock, char out[CONNECT_SOCKET_WHERE_BYTES])
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)&sock->tried;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&sock->tried;
    char text[INET6_ADDRSTRLEN] = "";

    out[0] = '\0';
    if (sock->tried.ss_family == AF_INET && inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text)))
        snprintf(out, CONNECT_SOCKET_WHERE_BYTES, "%s:%u", text, (unsigned)ntohs(four->sin_port));
    if (sock->tried.ss_family == AF_INET6 && inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text)))
        snprintf(out, CONNECT_SOCKET_WHERE_BYTES, "[%s]:%u", text, (unsigned)ntohs(six->sin6_port));
}

void connect_socket_end(struct connect_socket *sock)
{
    if (sock->file_fd >= 0)
        close(sock->file_fd);
    sock->file_fd = -1;
}
