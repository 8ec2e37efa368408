/* Both ends of the bench's tunnels: bytes through a proxy, after an upgrade of HTTP or without HTTP at all.
 *
 *   tunnel serve SOCKET
 *       The target: answers a request for an upgrade with 101, then takes what comes (/sink) or sends it back (/echo).
 *
 *   tunnel load SOCKET /sink|/echo CONNECTIONS MS WARM_MS
 *       Sends as fast as the proxy takes it, on every connection, and reads what comes back.
 *
 *   tunnel idle SOCKET CONNECTIONS
 *       Opens one connection, then the others, lets a few bytes go both ways on each and holds them; in the end again.
 *
 * The handshake is the same through a stream listener: there it is nothing but bytes. Every byte is checked at both
 * ends against the pattern of wire.h. The marks are those of blast: load and idle print a line and wait for one before
 * and after what is measured. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/wire.h"

#define TUNNEL_FDS_MAX 8192
#define TUNNEL_BLOCK (128u * 1024)
#define TUNNEL_HEAD_MAX 4096

/* One connection: of the target's or of the load's, by descriptor. */
struct end {
    bool open, agreed, echo; /* agreed: the head is over */
    bool wants_write;
    char head[TUNNEL_HEAD_MAX];
    size_t head_length;
    unsigned char *kept; /* owned, echo target only: received and not yet sent back */
    size_t kept_from, kept_to;
    uint64_t sent, received; /* of the pattern */
};

static struct end ends[TUNNEL_FDS_MAX];
static unsigned char block[TUNNEL_BLOCK];
static int epoll_fd;
static const char *socket_path;

static void tunnel_fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t tunnel_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void end_watch(int fd, bool write, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.fd = fd};
    if (epoll_ctl(epoll_fd, operation, fd, &event) < 0)
        tunnel_fail("epoll_ctl");
    ends[fd].wants_write = write;
}

/* Compares with the pattern and goes on in it. */
static void end_check(struct end *end, const unsigned char *data, size_t length)
{
    while (length > 0) {
        size_t offset = end->received % WIRE_STRETCH;
        size_t n = length < WIRE_STRETCH - offset ? length : WIRE_STRETCH - offset;
        if (memcmp(data, wire_stretch + offset, n) != 0) {
            fprintf(stderr, "a wrong byte within %zu from %" PRIu64 "\n", n, end->received);
            exit(1);
        }
        end->received += n;
        data += n;
        length -= n;
    }
}

/* ---- the target ---- */

static void target_close(int fd)
{
    free(ends[fd].kept);
    ends[fd] = (struct end){0};
    close(fd);
}

/* Sends back what is kept; false when the connection is over. */
static bool target_echo(int fd, struct end *end)
{
    while (end->kept_from < end->kept_to) {
        ssize_t n = send(fd, end->kept + end->kept_from, end->kept_to - end->kept_from, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (!end->wants_write)
                end_watch(fd, true, EPOLL_CTL_MOD);
            return true;
        }
        if (n < 0)
            return false;
        end->kept_from += (size_t)n;
    }
    if (end->wants_write)
        end_watch(fd, false, EPOLL_CTL_MOD);
    return true;
}

static bool target_take(int fd, struct end *end, const unsigned char *data, size_t length)
{
    end_check(end, data, length);
    if (!end->echo || length == 0)
        return true;
    if (!end->kept && !(end->kept = malloc(TUNNEL_BLOCK)))
        tunnel_fail("malloc");
    memcpy(end->kept, data, length);
    end->kept_from = 0;
    end->kept_to = length;
    return target_echo(fd, end);
}

/* The request's head; false when the connection is over. */
static bool target_agree(int fd, struct end *end)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n";
    ssize_t n = recv(fd, end->head + end->head_length, sizeof(end->head) - end->head_length, 0);
    char *last;

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    end->head_length += (size_t)n;
    last = memmem(end->head, end->head_length, "\r\n\r\n", 4);
    if (!last)
        return end->head_length < sizeof(end->head);
    end->agreed = true;
    end->echo = strncmp(end->head, "GET /echo", 9) == 0;
    if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(answer) - 1)
        return false;
    return target_take(fd, end, (unsigned char *)last + 4, (size_t)(end->head + end->head_length - last - 4));
}

static bool target_step(int fd, struct end *end)
{
    ssize_t n;

    if (!end->agreed)
        return target_agree(fd, end);
    if (end->kept_from < end->kept_to && (!target_echo(fd, end) || end->kept_from < end->kept_to))
        return end->kept_from < end->kept_to; /* still full: nothing is read */
    n = recv(fd, block, sizeof(block), 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    return target_take(fd, end, block, (size_t)n);
}

static _Noreturn void tunnel_serve(void)
{
    struct sockaddr_un address;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (wire_address(&address, socket_path) < 0 || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(socket_path, 0666) < 0 ||
        listen(listener, 4096) < 0)
        tunnel_fail(socket_path);
    end_watch(listener, false, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (!target_step(fd, &ends[fd]))
                    target_close(fd);
                continue;
            }
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= TUNNEL_FDS_MAX)
                close(fd);
            else if (fd >= 0)
                end_watch(fd, false, EPOLL_CTL_ADD);
        }
    }
}

/* ---- the load ---- */

/* A tunnel of its own, blocking as yet. */
static int load_open(const char *path)
{
    struct sockaddr_un address;
    char request[512], answer[TUNNEL_HEAD_MAX];
    size_t length = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n", path);

    if (wire_address(&address, socket_path) < 0 || fd < 0 || fd >= TUNNEL_FDS_MAX ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        tunnel_fail(socket_path);
    /* The target says nothing by itself: the head ends what there is to read. */
    while (!memmem(answer, length, "\r\n\r\n", 4)) {
        ssize_t got = length < sizeof(answer) ? recv(fd, answer + length, sizeof(answer) - length, 0) : 0;
        if (got <= 0)
            tunnel_fail("no answer to the upgrade");
        length += (size_t)got;
    }
    if (length < 12 || memcmp(answer, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "%.*s\n", (int)length, answer);
        exit(1);
    }
    ends[fd].open = true;
    return fd;
}

static void load_await_line(void)
{
    fflush(stdout);
    if (getchar() == EOF)
        exit(0);
}

static void load_step(int fd, uint32_t events)
{
    struct end *end = &ends[fd];

    if (events & EPOLLOUT) {
        /* What is left of the sum is never reached; one call sends a few stretches at most. */
        int r = wire_send(fd, NULL, 0, end->sent + WIRE_STRETCHES * WIRE_STRETCH, &end->sent);
        if (r < 0)
            tunnel_fail("send");
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(fd, block, sizeof(block), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            tunnel_fail("the tunnel has ended");
        if (n > 0)
            end_check(end, block, (size_t)n);
    }
}

static uint64_t load_run(uint64_t ns)
{
    uint64_t begin = tunnel_now_ns(), now = begin;

    while (now - begin < ns) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, 1000);
        for (int i = 0; i < n; i++)
            load_step(events[i].data.fd, events[i].events);
        now = tunnel_now_ns();
    }
    return now - begin;
}

static uint64_t load_bytes(void)
{
    uint64_t sum = 0;
    for (int fd = 0; fd < TUNNEL_FDS_MAX; fd++)
        sum += ends[fd].sent + ends[fd].received;
    return sum;
}

static int tunnel_load(char **argv)
{
    uint64_t elapsed_ns, before;

    for (unsigned long i = strtoul(argv[1], NULL, 10); i > 0; i--) {
        int fd = load_open(argv[0]);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        end_watch(fd, true, EPOLL_CTL_ADD);
    }
    load_run(strtoull(argv[3], NULL, 10) * 1000000);
    printf("ready\n");
    load_await_line();
    before = load_bytes();
    elapsed_ns = load_run(strtoull(argv[2], NULL, 10) * 1000000);
    printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.6f}\n", load_bytes() - before, (double)elapsed_ns / 1e9);
    load_await_line();
    return 0;
}

/* A few bytes there and back. */
static void load_ping(int fd)
{
    struct end *end = &ends[fd];
    uint64_t until = end->received + 100;

    if (send(fd, wire_stretch + end->sent % WIRE_PERIOD, 100, MSG_NOSIGNAL) != 100)
        tunnel_fail("send");
    end->sent += 100;
    while (end->received < until) {
        ssize_t n = recv(fd, block, 100, 0);
        if (n <= 0)
            tunnel_fail("the tunnel has ended");
        end_check(end, block, (size_t)n);
    }
}

static int tunnel_idle(char **argv)
{
    unsigned long n = strtoul(argv[0], NULL, 10);

    for (unsigned long i = 0; i < n; i++) {
        load_ping(load_open("/echo"));
        if (i > 0 && i + 1 < n)
            continue;
        printf(i == 0 ? "one\n" : "ready\n");
        load_await_line();
    }
    for (int fd = 0; fd < TUNNEL_FDS_MAX; fd++)
        if (ends[fd].open)
            load_ping(fd);
    printf("{\"held\": %lu}\n", n);
    load_await_line();
    return 0;
}

int main(int argc, char **argv)
{
    wire_init();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    socket_path = argc > 2 ? argv[2] : "";
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        tunnel_serve();
    if (argc == 7 && strcmp(argv[1], "load") == 0)
        return tunnel_load(argv + 3);
    if (argc == 4 && strcmp(argv[1], "idle") == 0)
        return tunnel_idle(argv + 3);
    fprintf(stderr,
            "usage: %s serve SOCKET\n"
            "       %s load SOCKET /sink|/echo CONNECTIONS MS WARM_MS\n"
            "       %s idle SOCKET CONNECTIONS\n",
            argv[0], argv[0], argv[0]);
    return 2;
}
