/* The clients of the soak: many at once, a thread for each, which ask for all that a path can say (said.h) and hold
 * every answer, byte for byte, against what its target was told to say. Some leave at random places.
 *
 * usage: client FIRST COUNT CLIENTS SEED TARGETS ADDRESS...
 *   COUNT exchanges, numbered from FIRST on, of TARGETS targets. ADDRESS is unix:PATH, tcp:127.0.0.1:PORT, or one of
 * these behind "stream:", which leads to target 0 and to nobody else. It prints a line of JSON: how many exchanges
 * there were of each kind, how they ended, and how many were wrong, of which standard error has the first ones. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/soak/plan.h"
#include "tests/soak/reader.h"

#define CLIENT_STACK (512u * 1024)
#define CLIENT_TOLD_MAX 20
#define CLIENT_PIPELINE_MAX 8u
#define CLIENT_ON_CONNECTION_MAX 40

struct address {
    const char *text;
    bool is_stream;
    struct sockaddr_storage address;
    socklen_t length;
};

/* Owned by its thread. */
struct client {
    uint64_t random;
    int fd; /* -1: not connected */
    const struct address *address;
    unsigned n_done, n_most; /* on this connection */
    bool after_early;        /* the exchange before may have been answered before its request had ended */
    struct reader reader;
};

enum sent { SENT_ALL, SENT_ANSWERED, SENT_BROKEN };

static struct {
    uint64_t first, count;
    unsigned n_targets;
    struct address *addresses;
    size_t n_addresses;
    atomic_ulong n_begun, n_of[N_PLAN_KINDS];
    atomic_ulong n_whole, n_left, n_cut, n_refused, n_again, n_again_early, n_connections, n_wrong;
} soak;

static void soak_fail(const char *what)
{
    perror(what);
    exit(1);
}

static void client_wrong(const struct client *client, const struct plan *plan, const char *what)
{
    const struct said *said = &plan->said;
    if (atomic_fetch_add(&soak.n_wrong, 1) >= CLIENT_TOLD_MAX)
        return;
    fprintf(stderr,
            "client: %s: %s of %" PRIu64 " at %s, the %u. of its connection: target %u, %c, %" PRIu64 " down, %" PRIu64
            " up%s, cut %" PRIu64 ", early %" PRIu64 ", flags %u%s; %" PRIu64 " bytes read; the head was %.300s%.*s\n",
            what, plan_names[plan->kind], said->number, client->address->text, client->n_done + 1, said->target,
            said->framing, said->down, said->up, plan->chunked ? " in chunks" : "", said->cut, said->early, said->flags,
            client->reader.stalled ? ", stalled" : "", client->reader.n_read, client->reader.head,
            client->reader.end - client->reader.begin < 300 ? (int)(client->reader.end - client->reader.begin) : 300,
            client->reader.data + client->reader.begin);
}

static unsigned client_n_targets(const struct client *client)
{
    return client->address->is_stream ? 1 : soak.n_targets;
}

static char *client_compose(const struct plan *plan, size_t *ret_head, size_t *ret_length)
{
    char *request = plan_compose(plan, ret_head, ret_length);
    if (!request)
        soak_fail("malloc");
    return request;
}

/* --- Connections --------------------------------------------------------------------------------------------- */

static void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->after_early = false;
}

static void client_choose(struct client *client)
{
    client->address = &soak.addresses[said_below(&client->random, soak.n_addresses)];
    client->n_most = 1 + (unsigned)said_below(&client->random, CLIENT_ON_CONNECTION_MAX);
}

static void client_connect(struct client *client)
{
    struct timeval patience = {.tv_sec = SAID_STALL_S};
    int fd = socket(client->address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        soak_fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&client->address->address, client->address->length) < 0)
        soak_fail(client->address->text);
    atomic_fetch_add(&soak.n_connections, 1);
    client->fd = client->reader.fd = fd;
    client->reader.begin = client->reader.end = 0;
    client->n_done = 0;
}

/* Sends, and leaves off when an answer begins before there is room for more. `*sent` is where it goes on. */
static enum sent client_send(struct client *client, const char *data, size_t length, size_t *sent, bool slowly)
{
    while (*sent < length) {
        size_t n = length - *sent;
        if (slowly && n > 1)
            n = 1 + said_below(&client->random, n);
        ssize_t r = send(client->fd, data + *sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = client->fd, .events = POLLIN | POLLOUT};
            if (poll(&ready, 1, SAID_STALL_S * 1000) == 0)
                return SENT_BROKEN;
            if (ready.revents & POLLIN)
                return SENT_ANSWERED;
            continue;
        }
        if (r < 0 && errno != EINTR)
            return SENT_BROKEN;
        *sent += r > 0 ? (size_t)r : 0;
        if (slowly && *sent < length)
            usleep((useconds_t)said_below(&client->random, 3000));
    }
    return SENT_ALL;
}

/* --- Answers ------------------------------------------------------------------------------------------------- */

/* An answer's head, behind those that are not final. */
static int client_head(struct client *client, unsigned *status)
{
    do {
        int r = reader_head(&client->reader);
        if (r)
            return r;
        if (sscanf(client->reader.head, "HTTP/1.1 %3u ", status) != 1)
            return READER_WRONG;
    } while (*status < 200 && *status != 101);
    return READER_OK;
}

static bool client_is_for(struct client *client, const struct said *said)
{
    const char *number = reader_field(&client->reader, "X-Number");
    const char *target = reader_field(&client->reader, "X-Target");
    return number && target && strtoull(number, NULL, 10) == said->number && strtoul(target, NULL, 10) == said->target;
}

/* Reads an answer to its end. An error of porthole's own is one that must have a reason. */
static int client_answer(struct client *client, const struct plan *plan, unsigned *status, struct body *body)
{
    struct reader *reader = &client->reader;
    int r = client_head(client, status);
    if (r)
        return r;
    bool is_ours = client_is_for(client, &plan->said);
    if (!is_ours && (!plan->said.cut || client->address->is_stream || *status != 502))
        return READER_WRONG;
    *body = body_of(reader, plan->said.number, plan->method[0] != 'H');
    if (!is_ours) { /* a problem's text */
        for (; body->left > 0; body->left--, reader->begin++)
            if (reader->begin == reader->end && (r = reader_fill(reader)))
                return r;
        return READER_OK;
    }
    if (*status != 200 ||
        (body->framing == SAID_SIZED && plan->said.framing == SAID_SIZED && body->left != plan->said.down))
        return READER_WRONG;
    return plan->method[0] == 'H' ? READER_OK : body_read(body, reader, UINT64_MAX);
}

/* What follows of an answer for the connection; true when it can be used again. */
static bool client_keeps(struct client *client, const struct plan *plan, const struct body *body)
{
    bool ends = body->framing == SAID_UNTIL_END || reader_says(&client->reader, "Connection", "close");
    if ((ends || plan->last) && !client->address->is_stream && body->framing != SAID_UNTIL_END &&
        (client->reader.begin < client->reader.end || reader_fill(&client->reader) == READER_OK ||
         client->reader.stalled))
        client_wrong(client, plan, "the connection goes on behind the last answer");
    return !ends && !plan->last && ++client->n_done < client->n_most;
}

/* Judges what came of an exchange; true when its connection can be used again. */
static bool client_judge(struct client *client, const struct plan *plan, int r, unsigned status,
                         const struct body *body)
{
    if (r == READER_LEFT) {
        atomic_fetch_add(&soak.n_left, 1);
        return false;
    }
    if (plan->said.cut) {
        bool refused = r == READER_OK && status == 502;
        if (!refused && (r != READER_CUT || client->reader.stalled))
            client_wrong(client, plan, r == READER_OK ? "a cut answer is taken for a whole one" : "another answer");
        atomic_fetch_add(refused ? &soak.n_refused : &soak.n_cut, 1);
        return refused && client_keeps(client, plan, body);
    }
    if (r || (plan->method[0] != 'H' && body->got != plan->said.down)) {
        client_wrong(client, plan, r == READER_CUT ? "no whole answer" : "another answer");
        return false;
    }
    atomic_fetch_add(&soak.n_whole, 1);
    return client_keeps(client, plan, body);
}

/* --- Exchanges ----------------------------------------------------------------------------------------------- */

/* Whether a request may be sent again: it was the first on a connection that had been used, which ended without a byte
 * of an answer (RFC 9112 9.3.1), or whose request before had not been read to its end. */
static bool client_may_again(const struct client *client, const struct plan *plan, int r)
{
    return r == READER_CUT && client->reader.n_read == 0 && client->n_done > 0 && !client->reader.stalled &&
           !plan->said.cut && (plan->method[0] != 'P' || client->after_early);
}

static void client_count_again(const struct client *client)
{
    atomic_fetch_add(client->after_early ? &soak.n_again_early : &soak.n_again, 1);
}

static void client_begin(struct client *client, uint64_t leave_reading)
{
    if (client->fd < 0)
        client_connect(client);
    client->reader.n_read = 0;
    client->reader.leave_after = leave_reading;
    client->reader.stalled = false;
    client->reader.head[0] = '\0';
}

/* Sends the rest of a body whose answer was early, or leaves it. */
static bool client_finish(struct client *client, const char *request, size_t length, size_t *sent)
{
    if (*sent == length)
        return true;
    return said_below(&client->random, 2) && client_send(client, request, length, sent, false) == SENT_ALL;
}

static enum sent client_request(struct client *client, struct plan *plan, const char *request, size_t head,
                                size_t length, size_t *sent)
{
    bool slowly = plan->said.flags & SAID_SLOW;
    if (plan->kind != PLAN_EXPECT || client->address->is_stream)
        return client_send(client, request, length, sent, slowly);
    enum sent r = client_send(client, request, head, sent, slowly);
    if (r != SENT_ALL)
        return r;
    if (reader_head(&client->reader) || strncmp(client->reader.head, "HTTP/1.1 100 ", 13) != 0) {
        client_wrong(client, plan, "no 100 came");
        return SENT_BROKEN;
    }
    return client_send(client, request, length, sent, slowly);
}

/* One request and its answer. */
static void client_one(struct client *client, struct plan *plan)
{
    size_t head, length, sent = 0;
    char *request = client_compose(plan, &head, &length);
    unsigned status = 0;
    struct body body = {0};
    int r;
    do {
        sent = 0;
        client_begin(client, plan->leave_reading);
        client_request(client, plan, request, head, plan->leave_sending ? (size_t)plan->leave_sending : length, &sent);
        r = plan->leave_sending ? READER_LEFT : client_answer(client, plan, &status, &body);
        if (!client_may_again(client, plan, r))
            break;
        client_count_again(client);
        client_close(client);
    } while (true);
    bool keeps = client_judge(client, plan, r, status, &body);
    client->after_early = plan->kind == PLAN_EARLY;
    if (!keeps || !client_finish(client, request, length, &sent))
        client_close(client);
    free(request);
}

/* Where a client leaves: in its request, or in the answer. */
static void client_plan_leave(struct client *client, struct plan *plan)
{
    size_t head, length;
    if (said_below(&client->random, 2)) {
        plan->leave_reading = 1 + said_below(&client->random, plan->said.down + 60);
        return;
    }
    plan->said.flags |= SAID_ABANDONED;
    free(client_compose(plan, &head, &length));
    plan->leave_sending = 1 + said_below(&client->random, length - 1);
}

static void client_pipeline(struct client *client, uint64_t number, unsigned n)
{
    struct plan plans[CLIENT_PIPELINE_MAX];
    char requests[CLIENT_PIPELINE_MAX * 1024];
    size_t length = 0, sent = 0;
    client_begin(client, 0);
    for (unsigned i = 0; i < n; i++) {
        size_t head, one;
        plan_make(&plans[i], PLAN_PIPELINE, client_n_targets(client), &client->random, number + i);
        char *request = client_compose(&plans[i], &head, &one);
        memcpy(requests + length, request, one);
        length += one;
        free(request);
    }
    bool keeps = true;
    client_send(client, requests, length, &sent, false);
    for (unsigned i = 0; i < n; i++) {
        unsigned status = 0;
        struct body body = {0};
        int r = client_answer(client, &plans[i], &status, &body);
        if (i == 0 && client_may_again(client, &plans[0], r)) {
            client_count_again(client);
            client_close(client);
            client_begin(client, 0);
            sent = 0;
            client_send(client, requests, length, &sent, false);
            r = client_answer(client, &plans[i], &status, &body);
        }
        keeps = client_judge(client, &plans[i], r, status, &body);
        if (r)
            break;
    }
    client->after_early = false;
    if (!keeps)
        client_close(client);
}

/* Sends and takes back what comes back, at once. Returns how much came. */
static uint64_t client_echo(struct client *client, const struct plan *plan, uint64_t leave)
{
    struct reader *reader = &client->reader;
    uint64_t sent = 0, got = 0, up = plan->said.up;
    while (got < up && got < leave) {
        struct pollfd ready = {.fd = client->fd, .events = (short)(POLLIN | (sent < up ? POLLOUT : 0))};
        if (reader->begin == reader->end && poll(&ready, 1, SAID_STALL_S * 1000) == 0)
            break;
        if (reader->begin == reader->end && ready.revents & POLLIN && reader_fill(reader))
            break;
        size_t n = reader->end - reader->begin;
        if (!said_is(~plan->said.number, got, reader->data + reader->begin, n)) {
            client_wrong(client, plan, "other bytes from a tunnel");
            break;
        }
        got += n;
        reader->begin = reader->end;
        if (ready.revents & POLLOUT) {
            n = (size_t)(up - sent) < SAID_BUFFER ? (size_t)(up - sent) : SAID_BUFFER;
            const unsigned char *bytes = said_bytes(~plan->said.number, sent, &n);
            ssize_t r = send(client->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += r > 0 ? (uint64_t)r : 0;
        }
    }
    return got;
}

static void client_tunnel(struct client *client, struct plan *plan)
{
    struct reader *reader = &client->reader;
    size_t head, length, sent = 0;
    unsigned status = 0;
    uint64_t leave = UINT64_MAX;
    if (said_below(&client->random, 4) == 0) {
        plan->said.flags |= SAID_ABANDONED;
        leave = said_below(&client->random, plan->said.up + 1);
    }
    char *request = client_compose(plan, &head, &length);
    client_close(client); /* a new one: what was on it before is another's matter */
    client_begin(client, 0);
    client_send(client, request, length, &sent, false);
    free(request);
    int r = client_head(client, &status);
    if (r || status != 101 || !client_is_for(client, &plan->said)) {
        client_wrong(client, plan, "no tunnel");
        client_close(client);
        return;
    }
    uint64_t got = client_echo(client, plan, leave), all = plan->said.up, cut = plan->said.cut;
    /* Where the target has gone while a client over TCP still sends, that is reset, with what was on its way to it. */
    if (cut && cut - 1 < all)
        all = client->address->address.ss_family == AF_INET && got < cut - 1 ? got : cut - 1;
    if (leave != UINT64_MAX) {
        atomic_fetch_add(&soak.n_left, 1);
    } else if (got != all) {
        client_wrong(client, plan, reader->stalled ? "a tunnel stalls" : "a tunnel of another length");
    } else {
        shutdown(client->fd, SHUT_WR);
        if (reader_fill(reader) == READER_OK || reader->stalled)
            client_wrong(client, plan, "a tunnel does not end");
        atomic_fetch_add(plan->said.cut ? &soak.n_cut : &soak.n_whole, 1);
    }
    client_close(client);
}

/* The next exchange, or some of them; false when there were enough. */
static bool client_step(struct client *client)
{
    struct plan plan;
    if (client->fd < 0)
        client_choose(client);
    enum plan_kind kind = plan_kind(&client->random);
    unsigned n = kind == PLAN_PIPELINE ? 2 + (unsigned)said_below(&client->random, CLIENT_PIPELINE_MAX - 1) : 1;
    uint64_t begun = atomic_fetch_add(&soak.n_begun, n);
    if (begun >= soak.count)
        return false;
    atomic_fetch_add(&soak.n_of[kind], n);
    if (kind == PLAN_PIPELINE) {
        client_pipeline(client, soak.first + begun, n);
        return true;
    }
    plan_make(&plan, kind, client_n_targets(client), &client->random, soak.first + begun);
    plan.last = client->n_done + 1 >= client->n_most && said_below(&client->random, 2);
    if (kind == PLAN_LEAVE)
        client_plan_leave(client, &plan);
    if (kind == PLAN_TUNNEL)
        client_tunnel(client, &plan);
    else
        client_one(client, &plan);
    return true;
}

static void *client_run(void *argument)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        soak_fail("calloc");
    client->random = said_mix((uint64_t)(uintptr_t)argument);
    client->fd = -1;
    while (client_step(client))
        ;
    client_close(client);
    free(client);
    return NULL;
}

static void soak_print(void)
{
    unsigned long begun = atomic_load(&soak.n_begun);
    printf("{\"exchanges\": %lu, \"connections\": %lu", begun < soak.count ? begun : (unsigned long)soak.count,
           atomic_load(&soak.n_connections));
    for (unsigned kind = 0; kind < N_PLAN_KINDS; kind++)
        printf(", \"%s\": %lu", plan_names[kind], atomic_load(&soak.n_of[kind]));
    printf(", \"ended\": {\"whole\": %lu, \"left\": %lu, \"cut short\": %lu, \"refused\": %lu}",
           atomic_load(&soak.n_whole), atomic_load(&soak.n_left), atomic_load(&soak.n_cut),
           atomic_load(&soak.n_refused));
    printf(", \"again\": %lu, \"again after early\": %lu, \"wrong\": %lu}\n", atomic_load(&soak.n_again),
           atomic_load(&soak.n_again_early), atomic_load(&soak.n_wrong));
}

int main(int argc, char **argv)
{
    struct address addresses[16] = {0};
    if (argc < 7 || argc > 22) {
        fprintf(stderr, "usage: %s FIRST COUNT CLIENTS SEED TARGETS ADDRESS...\n", argv[0]);
        return 2;
    }
    said_init();
    soak.first = strtoull(argv[1], NULL, 10);
    soak.count = strtoull(argv[2], NULL, 10);
    size_t n_clients = strtoul(argv[3], NULL, 10);
    uint64_t seed = strtoull(argv[4], NULL, 10);
    soak.n_targets = (unsigned)strtoul(argv[5], NULL, 10);
    soak.addresses = addresses;
    for (int i = 6; i < argc; i++) {
        struct address *address = &addresses[soak.n_addresses++];
        address->text = argv[i];
        address->is_stream = strncmp(argv[i], "stream:", 7) == 0;
        address->length = said_address(argv[i] + (address->is_stream ? 7 : 0), &address->address);
        if (address->length == 0)
            soak_fail(argv[i]);
    }
    pthread_t *threads = calloc(n_clients, sizeof(*threads));
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, CLIENT_STACK);
    for (size_t i = 0; i < n_clients; i++) {
        errno = pthread_create(&threads[i], &attributes, client_run, (void *)(uintptr_t)(seed * 65536 + i + 1));
        if (errno)
            soak_fail("pthread_create");
    }
    for (size_t i = 0; i < n_clients; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    soak_print();
    return atomic_load(&soak.n_wrong) ? 1 : 0;
}
