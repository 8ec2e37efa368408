/* The server behind every proxy of the bench: one thread, keep-alive, as cheap as can be, so that the proxy and
 * not the backend is what is measured.
 *
 *   GET  /bytes/N   N bytes, byte i is i modulo 251; any path before it is passed over
 *   POST /upload    takes a body with Content-Length, answers its length
 *   POST /crc       the same with the body's CRC-32, for verification
 *   GET  /stats     connections accepted, open now, requests served
 *
 * Usage: backend SOCKET. Ends at SIGTERM. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/wire.h"

#define BACKEND_HEAD_MAX 8192
#define BACKEND_SCRATCH (256 * 1024)
#define BACKEND_CLIENTS_MAX 32768

/* One client, owned by the loop from accept to close. A request is read whole before its answer is sent. */
struct client {
    int fd;
    bool wants_write; /* EPOLLOUT is asked for */
    char in[BACKEND_HEAD_MAX];
    size_t in_length;
    uint64_t body_left; /* of the request; bytes */
    uint64_t body_length;
    bool reading_body, checking;
    uint32_t crc;
    char out[512];        /* the head, and the body when it isn't the pattern */
    size_t out_length;    /* 0: nothing to send */
    uint64_t out_pattern; /* bytes of pattern after `out` */
    uint64_t out_sent;
};

static struct {
    int epoll_fd;
    uint64_t n_accepted, n_open, n_requests;
    uint32_t crc_table[256];
} backend;

static struct client *backend_clients[BACKEND_CLIENTS_MAX]; /* owned; by descriptor */
static unsigned char backend_scratch[BACKEND_SCRATCH];

static void backend_fail(const char *what)
{
    perror(what);
    exit(1);
}

static void backend_crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        backend.crc_table[i] = c;
    }
}

static uint32_t backend_crc(uint32_t crc, const unsigned char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        crc = backend.crc_table[(crc ^ data[i]) & 0xFF] ^ (crc >> 8);
    return crc;
}

static void client_watch(struct client *client, bool write)
{
    if (client->wants_write == write)
        return;
    struct epoll_event event = {.events = write ? EPOLLOUT : EPOLLIN, .data.fd = client->fd};
    if (epoll_ctl(backend.epoll_fd, EPOLL_CTL_MOD, client->fd, &event) < 0)
        backend_fail("epoll_ctl");
    client->wants_write = write;
}

static void client_answer(struct client *client, const char *status, const char *text, uint64_t pattern)
{
    client->out_pattern = pattern;
    client->out_sent = 0;
    client->out_length = (size_t)snprintf(client->out, sizeof(client->out),
                                          "HTTP/1.1 %s\r\nServer: backend\r\nContent-Type: application/octet-stream\r\n"
                                          "Content-Length: %" PRIu64 "\r\n\r\n%s",
                                          status, pattern + strlen(text), text);
}

static void client_answer_upload(struct client *client)
{
    char text[64];
    if (client->checking)
        snprintf(text, sizeof(text), "%" PRIu64 " %08" PRIx32, client->body_length, client->crc ^ 0xFFFFFFFFu);
    else
        snprintf(text, sizeof(text), "%" PRIu64, client->body_length);
    client_answer(client, "200 OK", text, 0);
}

static void client_answer_stats(struct client *client)
{
    char text[128];
    snprintf(text, sizeof(text), "{\"accepted\": %" PRIu64 ", \"open\": %" PRIu64 ", \"requests\": %" PRIu64 "}\n",
             backend.n_accepted, backend.n_open, backend.n_requests);
    client_answer(client, "200 OK", text, 0);
}

/* The value of a field in a NUL-terminated head, or NULL. */
static const char *client_field(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
            return line + 2 + length + 1;
    return NULL;
}

/* Starts on a complete, NUL-terminated head. */
static void client_request(struct client *client, const char *head)
{
    const char *bytes = strncmp(head, "GET ", 4) == 0 ? strstr(head, "/bytes/") : NULL;
    backend.n_requests++;
    if (bytes) {
        client_answer(client, "200 OK", "", strtoull(bytes + 7, NULL, 10));
    } else if (strncmp(head, "GET /stats ", 11) == 0) {
        client_answer_stats(client);
    } else if (strncmp(head, "POST /upload ", 13) == 0 || strncmp(head, "POST /crc ", 10) == 0) {
        const char *length = client_field(head, "Content-Length");
        if (!length) {
            client_answer(client, "411 Length Required", "", 0);
            return;
        }
        client->body_left = client->body_length = strtoull(length, NULL, 10);
        client->reading_body = true;
        client->checking = head[6] == 'c';
        client->crc = 0xFFFFFFFFu;
    } else {
        client_answer(client, "404 Not Found", "", 0);
    }
}

/* Takes body bytes; returns how many were the body's. */
static size_t client_body(struct client *client, const unsigned char *data, size_t length)
{
    if (length > client->body_left)
        length = (size_t)client->body_left;
    if (client->checking)
        client->crc = backend_crc(client->crc, data, length);
    client->body_left -= length;
    if (client->body_left == 0) {
        client->reading_body = false;
        client_answer_upload(client);
    }
    return length;
}

/* Works through what is buffered until an answer is due or more must be read; false when the head is too long. */
static bool client_parse(struct client *client)
{
    if (!client->reading_body) {
        char *end = memmem(client->in, client->in_length, "\r\n\r\n", 4);
        if (!end)
            return client->in_length < sizeof(client->in);
        end[2] = '\0';
        client_request(client, client->in);
        client->in_length -= (size_t)(end + 4 - client->in);
        memmove(client->in, end + 4, client->in_length);
    }
    if (client->reading_body) {
        size_t used = client_body(client, (unsigned char *)client->in, client->in_length);
        client->in_length -= used;
        memmove(client->in, client->in + used, client->in_length);
    }
    return true;
}

/* Reads once. 1: something came, 0: nothing there, -1: the connection is over. */
static int client_read(struct client *client)
{
    bool bulk = client->reading_body; /* nothing of it is in `in` any more */
    ssize_t n = bulk ? recv(client->fd, backend_scratch, sizeof(backend_scratch), 0)
                     : recv(client->fd, client->in + client->in_length, sizeof(client->in) - client->in_length, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    if (bulk) /* clients of the bench don't pipeline behind a body */
        return client_body(client, backend_scratch, (size_t)n) == (size_t)n ? 1 : -1;
    client->in_length += (size_t)n;
    return client_parse(client) ? 1 : -1;
}

/* Goes on until the socket would block; false when the connection is over. */
static bool client_step(struct client *client)
{
    for (;;) {
        if (client->out_length) {
            int r = wire_send(client->fd, client->out, client->out_length, client->out_pattern, &client->out_sent);
            if (r < 0)
                return false;
            client_watch(client, r == 0);
            if (r == 0)
                return true;
            client->out_length = 0;
            if (client->in_length == 0)
                return true; /* the next request will wake us; asking now would be a call in vain */
            if (!client_parse(client))
                return false;
            continue;
        }
        int r = client_read(client);
        if (r <= 0)
            return r == 0;
        if (!client->out_length && !client->reading_body)
            return true;
    }
}

static void backend_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (fd >= BACKEND_CLIENTS_MAX) {
        close(fd);
        return;
    }
    struct client *client = backend_clients[fd] = calloc(1, sizeof(*client));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (!client || epoll_ctl(backend.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        backend_fail("accept");
    client->fd = fd;
    backend.n_accepted++;
    backend.n_open++;
}

static void backend_close(struct client *client)
{
    backend_clients[client->fd] = NULL;
    close(client->fd);
    free(client);
    backend.n_open--;
}

static int backend_listen(const char *path)
{
    struct sockaddr_un address;
    if (wire_address(&address, path) < 0) {
        fprintf(stderr, "%s: path too long\n", path);
        exit(2);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* 0666: nginx's worker may run as another user */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
        listen(fd, 4096) < 0)
        backend_fail(path);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    wire_init();
    backend_crc_init();
    int listener = backend_listen(argv[1]);
    backend.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (backend.epoll_fd < 0 || epoll_ctl(backend.epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        backend_fail("epoll");
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(backend.epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                backend_accept(listener);
            else if (!client_step(backend_clients[fd]))
                backend_close(backend_clients[fd]);
        }
    }
}
