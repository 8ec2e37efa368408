/* The targets of the soak, all in one process, a thread for each connection. They do what a request's path tells them
 * (said.h), and hold against it what comes.
 *
 * usage: target ADDRESS...    the first one is target 0. It prints "ready", and at SIGTERM a line of JSON: what it has
 * served, and how often something came that was not as agreed, of which standard error has the first ones. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/soak/reader.h"

#define TARGET_STACK (512u * 1024)
#define TARGET_SEEN (1u << 24) /* numbers are told apart within so many */
#define TARGET_TOLD_MAX 20

struct listener {
    unsigned number;
    bool is_tcp;
    int fd;
};

/* One connection; owned by its thread. */
struct peer {
    int fd;
    unsigned target;
    bool is_tcp;
    struct reader reader;
};

static atomic_ulong target_n_served, target_n_left, target_n_wrong, target_n_open, target_n_bytes;
static atomic_uchar target_seen[TARGET_SEEN]; /* requests with a body: none may come twice */

static void target_fail(const char *what)
{
    perror(what);
    exit(1);
}

static void target_wrong(const struct peer *peer, const char *what)
{
    if (atomic_fetch_add(&target_n_wrong, 1) < TARGET_TOLD_MAX)
        fprintf(stderr, "target %u: %s: %.200s\n", peer->target, what, peer->reader.head);
}

/* Sends in one piece, or slowly in some; false when nobody is there any more. */
static bool peer_send(struct peer *peer, const char *data, size_t length, bool slowly)
{
    uint64_t state = length;
    for (size_t sent = 0; sent < length;) {
        size_t n = length - sent;
        if (slowly && n > 1)
            n = 1 + said_below(&state, n);
        ssize_t r = send(peer->fd, data + sent, n, MSG_NOSIGNAL);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        sent += (size_t)r;
        if (slowly && sent < length)
            usleep((useconds_t)said_below(&state, 3000));
    }
    atomic_fetch_add(&target_n_bytes, length);
    return true;
}

/* Ends without reading on. Over TCP unread bytes reset the connection, and with it what the other side has not taken
 * yet: so there the other side ends it. */
static void peer_leave(const struct peer *peer)
{
    struct pollfd end = {.fd = peer->fd, .events = POLLRDHUP};
    if (!peer->is_tcp)
        return;
    shutdown(peer->fd, SHUT_WR);
    poll(&end, 1, SAID_STALL_S * 1000);
}

/* Reads the request line; false when it is not ours. */
static bool peer_parse(struct peer *peer, struct said *said, char *method)
{
    return sscanf(peer->reader.head,
                  "%7[A-Z] /%u/%" SCNu64 "/%c/%" SCNu64 "/%" SCNu64 "/%" SCNu64 "/%" SCNu64 "/%u HTTP/1.1\r\n", method,
                  &said->target, &said->number, &said->framing, &said->down, &said->up, &said->cut, &said->early,
                  &said->flags) == 9;
}

/* Composes the answer: of `*ret_length` bytes, to be freed. */
static char *peer_compose(const struct peer *peer, const struct said *said, bool has_body, size_t *ret_length)
{
    char *answer = malloc(1024 + said_room(said->down)), *at = answer;
    if (!answer)
        target_fail("malloc");
    if (said->flags & SAID_INTERIM)
        at += sprintf(at, "HTTP/1.1 103 Early Hints\r\nLink: </%" PRIu64 ">\r\n\r\n", said->number);
    at += sprintf(at, "HTTP/1.1 200 OK\r\nX-Number: %" PRIu64 "\r\nX-Target: %u\r\n", said->number, peer->target);
    if (said->framing == SAID_SIZED)
        at += sprintf(at, "Content-Length: %" PRIu64 "\r\n", said->down);
    else if (said->framing == SAID_CHUNKED)
        at += sprintf(at, "Transfer-Encoding: chunked\r\n");
    if (said->flags & (SAID_CLOSE | SAID_LEAVE) || said->framing == SAID_UNTIL_END)
        at += sprintf(at, "Connection: close\r\n");
    at += sprintf(at, "\r\n");
    if (has_body)
        at = said_encode(at, said->framing, said->number, said->down);
    *ret_length = (size_t)(at - answer);
    return answer;
}

/* Answers; false when the connection is over. */
static bool peer_answer(struct peer *peer, const struct said *said, bool has_body)
{
    size_t length;
    char *answer = peer_compose(peer, said, has_body, &length);
    bool cut = said->cut && said->cut <= length;
    bool sent = peer_send(peer, answer, cut ? (size_t)said->cut - 1 : length, said->flags & SAID_SLOW);
    free(answer);
    if (!sent)
        atomic_fetch_add(&target_n_left, 1);
    return sent && !cut && !(said->flags & SAID_CLOSE) && said->framing != SAID_UNTIL_END;
}

/* What comes goes back, until the end or the cut. */
static void peer_tunnel(struct peer *peer, const struct said *said)
{
    struct reader *reader = &peer->reader;
    uint64_t n_echoed = 0;
    char head[256];
    int length = snprintf(head, sizeof(head),
                          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: soak\r\n"
                          "X-Number: %" PRIu64 "\r\nX-Target: %u\r\n\r\n",
                          said->number, peer->target);
    if (!peer_send(peer, head, (size_t)length, false))
        return;
    while (reader->begin < reader->end || !reader_fill(reader)) {
        size_t n = reader->end - reader->begin;
        if (!said_is(~said->number, n_echoed, reader->data + reader->begin, n)) {
            target_wrong(peer, "other bytes in a tunnel");
            return;
        }
        if (said->cut && n_echoed + n >= said->cut)
            n = (size_t)(said->cut - 1 - n_echoed);
        if (!peer_send(peer, reader->data + reader->begin, n, said->flags & SAID_SLOW))
            return;
        if (n < reader->end - reader->begin) {
            peer_leave(peer);
            return;
        }
        n_echoed += n;
        reader->begin = reader->end;
    }
    if (n_echoed > said->up || (n_echoed < said->up && !(said->flags & SAID_ABANDONED)))
        target_wrong(peer, "a tunnel of another length");
}

/* Takes the body, all of it or up to where an early answer is due. False when the connection is over. */
static bool peer_take(struct peer *peer, const struct said *said, struct body *body, uint64_t most)
{
    int r = body_read(body, &peer->reader, most);
    if (r == READER_WRONG)
        target_wrong(peer, "another body");
    else if (r == READER_OK && body->over && body->got != said->up)
        target_wrong(peer, "a body of another length");
    else if (r == READER_OK && body->over && said->flags & SAID_ABANDONED)
        target_wrong(peer, "the end of a body that nobody sent");
    else if (r)
        atomic_fetch_add(&target_n_left, 1);
    return r == READER_OK;
}

static bool peer_is_new(const struct said *said, const char *method)
{
    return strcmp(method, "POST") != 0 || !atomic_exchange(&target_seen[said->number % TARGET_SEEN], 1);
}

/* Serves one request; false when the connection is over. */
static bool peer_serve(struct peer *peer)
{
    struct said said;
    char method[8];
    int r = reader_head(&peer->reader);
    if (r)
        return false;
    if (!peer_parse(peer, &said, method) || said.target != peer->target || !peer_is_new(&said, method)) {
        target_wrong(peer, "another request, or one that came twice");
        return false;
    }
    atomic_fetch_add(&target_n_served, 1);
    if (said.flags & SAID_TUNNEL) {
        peer_tunnel(peer, &said);
        return false;
    }
    struct body body = body_of(&peer->reader, ~said.number, false);
    if (!peer_take(peer, &said, &body, said.early ? said.early - 1 : UINT64_MAX))
        return false;
    if (!peer_answer(peer, &said, strcmp(method, "HEAD") != 0))
        return false;
    if (said.flags & SAID_LEAVE) {
        peer_leave(peer);
        return false;
    }
    return peer_take(peer, &said, &body, UINT64_MAX);
}

static void *peer_run(void *argument)
{
    struct peer *peer = argument;
    struct timeval patience = {.tv_sec = SAID_STALL_S};
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    peer->reader.fd = peer->fd;
    while (peer_serve(peer))
        ;
    close(peer->fd);
    free(peer);
    atomic_fetch_sub(&target_n_open, 1);
    return NULL;
}

static void *listener_run(void *argument)
{
    const struct listener *listener = argument;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, TARGET_STACK);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener->fd, NULL, NULL);
        if (fd < 0)
            continue;
        struct peer *peer = calloc(1, sizeof(*peer));
        if (!peer)
            target_fail("calloc");
        peer->fd = fd;
        peer->target = listener->number;
        peer->is_tcp = listener->is_tcp;
        atomic_fetch_add(&target_n_open, 1);
        errno = pthread_create(&thread, &attributes, peer_run, peer);
        if (errno)
            target_fail("pthread_create");
    }
    return NULL;
}

static void listener_start(struct listener *listener, const char *text)
{
    struct sockaddr_storage address;
    socklen_t length = said_address(text, &address);
    pthread_t thread;
    int one = 1;
    listener->is_tcp = address.ss_family == AF_INET;
    listener->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (length == 0 || bind(listener->fd, (struct sockaddr *)&address, length) < 0 || listen(listener->fd, 4096) < 0)
        target_fail(text);
    errno = pthread_create(&thread, NULL, listener_run, listener);
    if (errno)
        target_fail("pthread_create");
    pthread_detach(thread);
}

int main(int argc, char **argv)
{
    struct listener listeners[16];
    sigset_t signals;
    int number;
    if (argc < 2 || argc > 17) {
        fprintf(stderr, "usage: %s ADDRESS...\n", argv[0]);
        return 2;
    }
    said_init();
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    for (int i = 1; i < argc; i++) {
        listeners[i - 1].number = (unsigned)(i - 1);
        listener_start(&listeners[i - 1], argv[i]);
    }
    printf("ready\n");
    fflush(stdout);
    sigwait(&signals, &number);
    /* Whoever was connected has gone, but the threads that serve them may not have been told yet. */
    for (int i = 0; i < 1000 && atomic_load(&target_n_open) > 0; i++)
        usleep(10000);
    printf("{\"served\": %lu, \"left\": %lu, \"wrong\": %lu, \"open\": %lu, \"bytes\": %lu}\n",
           atomic_load(&target_n_served), atomic_load(&target_n_left), atomic_load(&target_n_wrong),
           atomic_load(&target_n_open), atomic_load(&target_n_bytes));
    fflush(stdout);
    _exit(0);
}
