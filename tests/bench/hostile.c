/* Neighbours from hell, for the bench: clients and targets that cost as much as they can. One thread each.
 *
 *   hostile client SOCKET N KIND    N connections of a kind, see client_kinds
 *   hostile target SOCKET KIND      what their requests reach, see target_answer
 *
 * A client says its kind's beginning once and then its unit again and again, `piece` bytes with each send, and takes
 * whatever comes back. All connections have their turn, one send each, then there is the kind's pause. A connection
 * that is closed is made again. Both end at SIGTERM. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/wire.h"

#define BLOB_BYTES 65536
#define TAKE_BYTES (256 * 1024)
#define POST(path) "POST " path " HTTP/1.1\r\nHost: hostile\r\nTransfer-Encoding: chunked\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: hostile\r\n\r\n"
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define FIELDS "A: b\r\nC: d\r\nE: f\r\nG: h\r\nI: j\r\nK: l\r\nM: n\r\nO: p\r\nQ: r\r\nS: t\r\n"

struct client_kind {
    const char *name, *beginning, *unit;
    size_t piece;      /* bytes of units with each send; 0: as many as there is room for */
    unsigned pause_us; /* after each round of all connections */
    bool reconnects;   /* after each round */
    size_t most_taken; /* bytes of answers in each round; 0: whatever comes */
};

static const struct client_kind client_kinds[] = {
    {"chunks1", POST("/hostile"), "1\r\nx\r\n", 0, 0, false, 0},
    {"chunks64", POST("/hostile"), "40\r\n" X64 "\r\n", 0, 0, false, 0},
    {"chunk-by-chunk", POST("/hostile"), "1\r\nx\r\n", 6, 0, false, 0},
    {"drip-body", "POST /hostile HTTP/1.1\r\nHost: hostile\r\nContent-Length: 9999999\r\n\r\n", "x", 1, 2000, false, 0},
    {"drip-head", "GET /hostile HTTP/1.1\r\nHost: hostile\r\nX: ", "x", 1, 2000, false, 0},
    {"bulk-body", "POST /hostile HTTP/1.1\r\nHost: hostile\r\nContent-Length: 999999999999\r\n\r\n", "x", 0, 0, false,
     0},
    {"trailers", "", POST("/hostile") "1\r\nx\r\n0\r\n" FIELDS FIELDS FIELDS FIELDS FIELDS "\r\n", 7, 0, false, 0},
    {"pipelined", "", GET("/fixed"), 0, 0, false, 0},
    {"connect", "", "", 0, 0, true, 0},
    {"answer1", GET("/hostile"), "", 0, 0, false, 0},
    {"bulk-answer", GET("/hostile"), "", 0, 0, false, 0},
    {"read1", GET("/hostile"), "", 0, 0, false, 1},
    {"interim", "", GET("/hostile"), 0, 0, false, 0},
    {"tunnel-stalled", "", "x", 0, 0, false, 0},
    {"tunnel1", "", "x", 1, 0, false, 0},
    {"tunnel-bulk", "", "x", 0, 0, false, 0},
};

struct client {
    int fd;         /* -1: to be made */
    size_t n_begun; /* bytes of the beginning that were sent */
    size_t at;      /* in the blob of units */
};

static char blob[BLOB_BYTES]; /* units, as many as are whole */
static size_t n_blob;
static char taken[TAKE_BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void fill_blob(const char *unit)
{
    size_t n = strlen(unit);

    for (n_blob = 0; n > 0 && n_blob + n <= sizeof(blob); n_blob += n)
        memcpy(blob + n_blob, unit, n);
}

/* ---- clients ---- */

static void client_connect(struct client *client, const struct sockaddr_un *address)
{
    *client = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (client->fd < 0)
        fail("socket");
    if (connect(client->fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return;
    close(client->fd); /* the backlog is full */
    client->fd = -1;
}

/* What a send has come to. False when the connection is over. */
static bool was_sent(ssize_t n, size_t *at)
{
    if (n > 0)
        *at += (size_t)n;
    return n >= 0 || errno == EAGAIN;
}

static bool client_say(struct client *client, const struct client_kind *kind)
{
    size_t n_beginning = strlen(kind->beginning), piece = n_blob - client->at;
    ssize_t n;

    if (client->n_begun < n_beginning) {
        n = send(client->fd, kind->beginning + client->n_begun, n_beginning - client->n_begun, MSG_NOSIGNAL);
        return was_sent(n, &client->n_begun);
    }
    if (n_blob == 0)
        return true;
    if (kind->piece > 0 && piece > kind->piece)
        piece = kind->piece;
    n = send(client->fd, blob + client->at, piece, MSG_NOSIGNAL);
    if (!was_sent(n, &client->at))
        return false;
    client->at %= n_blob;
    return true;
}

static bool client_take(struct client *client, const struct client_kind *kind)
{
    ssize_t n = recv(client->fd, taken, kind->most_taken > 0 ? kind->most_taken : sizeof(taken), 0);

    return n > 0 || (n < 0 && errno == EAGAIN);
}

static _Noreturn void run_clients(const char *path, size_t n_clients, const struct client_kind *kind)
{
    struct client *clients = calloc(n_clients, sizeof(*clients));
    struct sockaddr_un address;

    if (!clients || wire_address(&address, path) < 0)
        fail(path);
    fill_blob(kind->unit);
    for (size_t i = 0; i < n_clients; i++)
        clients[i].fd = -1;
    for (;;) {
        for (size_t i = 0; i < n_clients; i++) {
            struct client *client = &clients[i];

            if (client->fd < 0)
                client_connect(client, &address);
            if (client->fd >= 0 && (!client_say(client, kind) || !client_take(client, kind) || kind->reconnects)) {
                close(client->fd);
                client->fd = -1;
            }
        }
        if (kind->pause_us > 0)
            usleep(kind->pause_us);
    }
}

/* ---- the target ---- */

/* What is said to a connection that has spoken; endless when `streams`. */
struct answer {
    const char *name, *beginning, *unit;
    bool reads, streams;
    unsigned n_empty_lines; /* in each request, of which the last one is answered; 0: it does not matter */
};

/* To one connection, and heard of it. */
struct spoken {
    bool begun;
    size_t at; /* in the blob of units */
    unsigned n_empty_lines;
    size_t n_matched; /* bytes of one */
};

static const struct answer target_answers[] = {
    {"sink", "", "", true, false, 0},
    {"stall", "", "", false, false, 0},
    {"trailers", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true, false, 2},
    {"answer1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", true, true, 0},
    {"bulk-answer", "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "x", true, true, 0},
    {"interim", "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", true, false, 0},
};

static void target_speak(int fd, const struct answer *answer, struct spoken *spoken)
{
    static const char last[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    if (!answer->streams && n_blob > 0) {
        size_t n = 60 * strlen(answer->unit); /* of 64 that are allowed */

        memcpy(blob + n, last, sizeof(last) - 1);
        (void)!send(fd, blob, n + sizeof(last) - 1, MSG_NOSIGNAL);
        return;
    }
    if (!spoken->begun)
        (void)!send(fd, answer->beginning, strlen(answer->beginning), MSG_NOSIGNAL);
    spoken->begun = true;
    was_sent(send(fd, blob + spoken->at, n_blob - spoken->at, MSG_NOSIGNAL), &spoken->at);
    spoken->at %= n_blob;
}

static void target_hear(int fd, const struct answer *answer, struct spoken *spoken, const char *data, size_t length)
{
    static const char empty_line[] = "\r\n\r\n";

    for (size_t i = 0; i < length; i++) {
        spoken->n_matched = data[i] == empty_line[spoken->n_matched] ? spoken->n_matched + 1 : data[i] == '\r';
        if (spoken->n_matched < sizeof(empty_line) - 1)
            continue;
        spoken->n_matched = 0;
        if (++spoken->n_empty_lines % answer->n_empty_lines == 0)
            (void)!send(fd, answer->beginning, strlen(answer->beginning), MSG_NOSIGNAL);
    }
}

static _Noreturn void run_target(const char *path, const struct answer *answer)
{
    static struct spoken spoken[65536]; /* by descriptor */
    struct sockaddr_un address;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];

    if (epoll_fd < 0 || listener < 0 || wire_address(&address, path) < 0)
        fail(path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 4096) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        fail(path);
    fill_blob(answer->unit);
    for (;;) {
        int n_events = epoll_wait(epoll_fd, events, 64, -1);

        for (int i = 0; i < n_events; i++) {
            int fd = events[i].data.fd;

            if (fd == listener) {
                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 || fd >= (int)(sizeof(spoken) / sizeof(spoken[0])))
                    fail("accept");
                spoken[fd] = (struct spoken){0};
                event = (struct epoll_event){.events = EPOLLIN | (answer->streams ? EPOLLOUT : 0), .data.fd = fd};
                if (answer->reads && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                    fail("epoll_ctl");
                continue;
            }
            ssize_t n = events[i].events & EPOLLIN ? recv(fd, taken, sizeof(taken), 0) : -1;

            if (n == 0) {
                close(fd);
            } else if (answer->n_empty_lines > 0) {
                target_hear(fd, answer, &spoken[fd], taken, n > 0 ? (size_t)n : 0);
            } else if (n_blob > 0 && ((events[i].events & EPOLLIN) || spoken[fd].begun)) {
                target_speak(fd, answer, &spoken[fd]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "client") == 0)
        for (size_t i = 0; i < sizeof(client_kinds) / sizeof(client_kinds[0]); i++)
            if (strcmp(argv[4], client_kinds[i].name) == 0)
                run_clients(argv[2], strtoul(argv[3], NULL, 10), &client_kinds[i]);
    if (argc == 4 && strcmp(argv[1], "target") == 0)
        for (size_t i = 0; i < sizeof(target_answers) / sizeof(target_answers[0]); i++)
            if (strcmp(argv[3], target_answers[i].name) == 0)
                run_target(argv[2], &target_answers[i]);
    fprintf(stderr, "usage: %s client SOCKET N KIND\n       %s target SOCKET KIND\n", argv[0], argv[0]);
    return 2;
}
