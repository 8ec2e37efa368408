/* The load generator of the bench: one thread, HTTP/1.1 over Unix sockets.
 *
 *   blast load SOCKET PATH CONNECTIONS MS WARM_MS UPLOAD
 *       Closed loop: every connection always has one request under way. UPLOAD is the length of the body to POST, or -1
 *       for GET. Every response must be a 200 and as long as PATH (/bytes/N) says; an upload's answer its length.
 *   blast connect SOCKET PATH CONNECTIONS MS WARM_MS
 *       The same with a new connection for each GET, which says that it is the last.
 *   blast rate SOCKET PATH CONNECTIONS MS WARM_MS RATE
 *       Open loop: RATE GETs a second, each due at its time whatever has become of those before it; its latency counts
 * from then on, also while it waits for one of the CONNECTIONS. blast idle SOCKET PATH CONNECTIONS used|fresh Opens
 * connections and holds them; used: each has made a request, fresh: none has sent a byte. Then each makes one request,
 * which shows that it really was held. blast ready SOCKET PATH CPU COMMAND... Starts COMMAND on a CPU, prints the
 * microseconds until it has served a request (status 200), and ends it.
 *
 * load, connect, rate and idle print "ready" and wait for a line on standard input before the part that is measured,
 * and again (after their figures, one line of JSON) before they close the connections, so that the caller can read the
 * proxy's counters exactly then. End of file instead of a line ends them. */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/wire.h"

#define BLAST_SCRATCH (256 * 1024)
#define BLAST_HEAD_MAX 4096
#define BLAST_SAMPLES_MAX (4u << 20)
#define BLAST_ERRORS_MAX 100
#define BLAST_BATCH 16
#define BLAST_GRACE_NS UINT64_C(15000000000)
#define BLAST_READY_NS UINT64_C(10000000000)

enum client_state { CLIENT_CLOSED, CLIENT_IDLE, CLIENT_SENDING, CLIENT_HEAD, CLIENT_BODY };

/* One connection to the proxy; lives in blast.clients from start to end. */
struct client {
    int fd; /* -1 when CLIENT_CLOSED */
    enum client_state state;
    bool wants_write; /* EPOLLOUT is asked for instead of EPOLLIN */
    bool last;        /* the response says "Connection: close" */
    uint64_t started_ns;
    uint64_t sent;                /* bytes of the request */
    uint64_t body_left;           /* bytes of the response */
    char partial[BLAST_HEAD_MAX]; /* of a head that came in pieces */
    size_t partial_length;
};

static struct {
    const char *socket;
    char request[512];
    size_t request_length;
    uint64_t upload;   /* length of the request's body */
    uint64_t expected; /* length of every response's body */
    char answer[32];   /* what an upload must be answered with; "" otherwise */
    struct client *clients;
    size_t n_clients, n_busy;
    int epoll_fd;
    bool measuring, stopping; /* stopping: nothing new is sent */
    uint64_t deadline_ns;
    uint64_t interval_ns; /* between two requests; 0: a closed loop */
    size_t *resting;      /* of an open loop: numbers of the clients with nothing to do */
    size_t n_resting;
    uint64_t n_errors, n_reconnects;
    uint64_t *samples; /* latencies in ns */
    size_t n_samples;
} blast;

static char blast_scratch[BLAST_SCRATCH];
static pid_t blast_child; /* of `ready`; 0 when there is none */

static void blast_fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t blast_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Waits until the caller says to go on; ends the program when the caller is gone. */
static void blast_await_line(void)
{
    char line[16];
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(0);
}

/* Connects, waiting for room in the backlog; a negative errno on failure. */
static int blast_connect(void)
{
    struct sockaddr_un address;
    struct timeval patience = {.tv_sec = 5};
    int r = wire_address(&address, blast.socket);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static void client_open(struct client *client)
{
    client->fd = blast_connect();
    if (client->fd < 0) {
        errno = -client->fd;
        blast_fail(blast.socket);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(blast.epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0)
        blast_fail("epoll_ctl");
    client->state = CLIENT_IDLE;
    client->wants_write = false;
}

static void client_close(struct client *client)
{
    if (client->state > CLIENT_IDLE)
        blast.n_busy--;
    close(client->fd);
    client->fd = -1;
    client->state = CLIENT_CLOSED;
}

static void client_watch(struct client *client, bool write)
{
    if (client->wants_write == write)
        return;
    struct epoll_event event = {.events = write ? EPOLLOUT : EPOLLIN, .data.ptr = client};
    if (epoll_ctl(blast.epoll_fd, EPOLL_CTL_MOD, client->fd, &event) < 0)
        blast_fail("epoll_ctl");
    client->wants_write = write;
}

/* Notes a failed exchange and closes its connection, which stays closed until the next part: a run with errors is
 * not a result. Too many end the run early. */
static void client_error(struct client *client, const char *what)
{
    if (blast.n_errors++ == 0)
        fprintf(stderr, "blast: %s: %s\n", blast.socket, what);
    if (blast.n_errors >= BLAST_ERRORS_MAX)
        blast.stopping = true;
    client_close(client);
}

static void client_send(struct client *client)
{
    int r = wire_send(client->fd, blast.request, blast.request_length, blast.upload, &client->sent);
    if (r < 0) {
        client_error(client, strerror(-r));
        return;
    }
    client_watch(client, r == 0);
    if (r == 1)
        client->state = CLIENT_HEAD;
}

/* Sends the next request, on a new connection if need be; it was due at `due_ns`. */
static void client_start(struct client *client, uint64_t due_ns)
{
    client->started_ns = due_ns;
    if (client->state == CLIENT_CLOSED) {
        blast.n_reconnects++;
        client_open(client);
    }
    client->state = CLIENT_SENDING;
    client->sent = client->partial_length = 0;
    blast.n_busy++;
    client_send(client);
}

/* The response is complete: takes its time and goes on with the next, if there is to be one. */
static void client_done(struct client *client)
{
    uint64_t now = blast_now_ns();
    if (blast.measuring && blast.n_samples < BLAST_SAMPLES_MAX)
        blast.samples[blast.n_samples++] = now - client->started_ns;
    client->state = CLIENT_IDLE;
    blast.n_busy--;
    if (client->last)
        client_close(client);
    if (now >= blast.deadline_ns || blast.n_samples == BLAST_SAMPLES_MAX)
        blast.stopping = true;
    if (blast.interval_ns)
        blast.resting[blast.n_resting++] = (size_t)(client - blast.clients);
    else if (!blast.stopping)
        client_start(client, now);
}

/* A response head in `head`, NUL-terminated at its last line: NULL when it is as it must be, or what is wrong. */
static const char *client_head(struct client *client, const char *head)
{
    if (strncmp(head, "HTTP/1.1 200 ", 13) != 0)
        return head;
    const char *length = NULL;
    client->last = false;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "Content-Length:", 15) == 0)
            length = line + 17;
        else if (strncasecmp(line + 2, "Connection: close", 17) == 0)
            client->last = true;
    }
    if (!length)
        return "no Content-Length";
    client->body_left = strtoull(length, NULL, 10);
    return client->body_left == blast.expected ? NULL : "wrong Content-Length";
}

/* Takes bytes of a head (the first `length` of the scratch buffer) and what follows them. */
static void client_take_head(struct client *client, size_t length)
{
    char *end = memmem(blast_scratch, length, "\r\n\r\n", 4);
    if (!end) {
        if (length > sizeof(client->partial)) {
            client_error(client, "head too long");
            return;
        }
        memcpy(client->partial, blast_scratch, length);
        client->partial_length = length;
        return;
    }
    end[2] = '\0';
    const char *wrong = client_head(client, blast_scratch);
    size_t body = length - (size_t)(end + 4 - blast_scratch);
    if (!wrong && body > client->body_left)
        wrong = "more body than announced";
    if (!wrong && blast.answer[0] && body == blast.expected && memcmp(end + 4, blast.answer, body) != 0)
        wrong = "wrong answer to an upload";
    if (wrong) {
        client_error(client, wrong);
        return;
    }
    client->body_left -= body;
    client->state = CLIENT_BODY;
}

/* Reads until nothing is left or the response is complete. */
static void client_receive(struct client *client)
{
    while (client->state == CLIENT_HEAD || client->state == CLIENT_BODY) {
        size_t kept = client->state == CLIENT_HEAD ? client->partial_length : 0;
        memcpy(blast_scratch, client->partial, kept);
        ssize_t n = recv(client->fd, blast_scratch + kept, sizeof(blast_scratch) - kept, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            client_error(client, n == 0 ? "closed in mid-exchange" : strerror(errno));
            return;
        }
        if (client->state == CLIENT_HEAD) {
            client_take_head(client, kept + (size_t)n);
        } else if ((uint64_t)n > client->body_left) {
            client_error(client, "more body than announced");
        } else {
            client->body_left -= (uint64_t)n;
        }
        if (client->state == CLIENT_BODY && client->body_left == 0) {
            client_done(client);
            return; /* the answer to a request just sent isn't there yet */
        }
    }
}

static void client_event(struct client *client)
{
    switch (client->state) {
    case CLIENT_SENDING:
        client_send(client);
        break;
    case CLIENT_HEAD:
    case CLIENT_BODY:
        client_receive(client);
        break;
    case CLIENT_IDLE: /* closed, or spoken on, out of turn */
        blast.n_reconnects++;
        client_close(client);
        break;
    case CLIENT_CLOSED:
        break;
    }
}

/* Serves events until no exchange is under way. */
static void blast_drain(void)
{
    while (blast.n_busy > 0) {
        struct epoll_event events[512];
        int n = epoll_wait(blast.epoll_fd, events, 512, 100);
        for (int i = 0; i < n; i++)
            client_event(events[i].data.ptr);
        if (blast_now_ns() > blast.deadline_ns + BLAST_GRACE_NS) {
            fprintf(stderr, "blast: %s: stuck with %zu exchanges open\n", blast.socket, blast.n_busy);
            exit(1);
        }
    }
}

/* Keeps every connection busy until `duration_ns` have passed, then lets the last exchanges end. Returns the time
 * it took. */
static uint64_t blast_run(uint64_t duration_ns)
{
    uint64_t start = blast_now_ns();
    blast.deadline_ns = start + duration_ns;
    blast.stopping = false;
    for (size_t i = 0; i < blast.n_clients && !blast.stopping; i++)
        client_start(&blast.clients[i], blast_now_ns());
    blast_drain();
    return blast_now_ns() - start;
}

/* Serves events until the next request is due. */
static void blast_await(uint64_t due_ns)
{
    struct epoll_event events[512];
    uint64_t now = blast_now_ns(), wait_ns = due_ns > now ? due_ns - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u), .tv_nsec = (long)(wait_ns % 1000000000u)};
    int n = epoll_pwait2(blast.epoll_fd, events, 512, &wait, NULL);
    for (int i = 0; i < n; i++)
        client_event(events[i].data.ptr);
}

/* Requests at their times, on whichever connection rests. Those that are due when none does wait for one. */
static uint64_t blast_run_at_rate(uint64_t duration_ns)
{
    uint64_t start = blast_now_ns(), due = start;
    blast.deadline_ns = start + duration_ns;
    blast.stopping = false;
    blast.n_resting = 0;
    for (size_t i = 0; i < blast.n_clients; i++)
        blast.resting[blast.n_resting++] = i;
    while (due < blast.deadline_ns && blast.n_errors < BLAST_ERRORS_MAX && blast.n_samples < BLAST_SAMPLES_MAX) {
        while (due <= blast_now_ns() && due < blast.deadline_ns && blast.n_resting > 0) {
            client_start(&blast.clients[blast.resting[--blast.n_resting]], due);
            due += blast.interval_ns;
        }
        blast_await(blast.n_resting > 0 ? due : blast.deadline_ns);
        if (blast_now_ns() > blast.deadline_ns + BLAST_GRACE_NS)
            break;
    }
    blast_drain();
    return blast_now_ns() - start;
}

/* One request on each connection, a few at a time: a burst of all of them would leave its own marks in memory. */
static void blast_each(void)
{
    blast.deadline_ns = blast_now_ns();
    for (size_t i = 0; i < blast.n_clients && blast.n_errors < BLAST_ERRORS_MAX; i++) {
        client_start(&blast.clients[i], blast_now_ns());
        if (i % BLAST_BATCH == BLAST_BATCH - 1)
            blast_drain();
    }
    blast_drain();
}

static int blast_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The exact percentile (nearest rank; in tenths) of sorted samples, in microseconds. */
static double blast_percentile_us(unsigned permille)
{
    if (blast.n_samples == 0)
        return 0;
    size_t rank = (blast.n_samples * permille + 999) / 1000;
    return (double)blast.samples[rank - 1] / 1000;
}

static void blast_open(size_t n_clients)
{
    blast.n_clients = n_clients;
    blast.clients = calloc(n_clients, sizeof(*blast.clients));
    blast.samples = malloc(BLAST_SAMPLES_MAX * sizeof(*blast.samples));
    blast.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!blast.clients || !blast.samples || blast.epoll_fd < 0)
        blast_fail("start");
    for (size_t i = 0; i < n_clients; i++)
        client_open(&blast.clients[i]);
}

/* Composes the request and what its answer must be. */
static void blast_prepare(const char *path, long long upload, bool last)
{
    int n = snprintf(blast.request, sizeof(blast.request), "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: blast\r\n",
                     upload < 0 ? "GET" : "POST", path);
    if (upload < 0) {
        blast.expected = strtoull(strrchr(path, '/') + 1, NULL, 10);
    } else {
        blast.upload = (uint64_t)upload;
        snprintf(blast.answer, sizeof(blast.answer), "%lld", upload);
        blast.expected = strlen(blast.answer);
        n += snprintf(blast.request + n, sizeof(blast.request) - (size_t)n, "Content-Length: %lld\r\n", upload);
    }
    n += snprintf(blast.request + n, sizeof(blast.request) - (size_t)n, "%s\r\n", last ? "Connection: close\r\n" : "");
    blast.request_length = (size_t)n;
}

/* Warms up, and measures between the marks. */
static int blast_measure(uint64_t (*run)(uint64_t duration_ns), uint64_t warm_ns, uint64_t duration_ns)
{
    run(warm_ns);
    blast.measuring = true;
    printf("ready\n");
    blast_await_line();
    uint64_t elapsed_ns = run(duration_ns);
    qsort(blast.samples, blast.n_samples, sizeof(*blast.samples), blast_compare);
    printf("{\"requests\": %zu, \"errors\": %" PRIu64 ", \"reconnects\": %" PRIu64 ", \"seconds\": %.6f, "
           "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n",
           blast.n_samples, blast.n_errors, blast.n_reconnects, (double)elapsed_ns / 1e9, blast_percentile_us(500),
           blast_percentile_us(900), blast_percentile_us(990), blast_percentile_us(999), blast_percentile_us(1000));
    blast_await_line();
    return blast.n_errors ? 1 : 0;
}

static int blast_load(char **argv)
{
    blast_prepare(argv[1], atoll(argv[5]), false);
    blast_open(strtoul(argv[2], NULL, 10));
    return blast_measure(blast_run, strtoull(argv[4], NULL, 10) * 1000000, strtoull(argv[3], NULL, 10) * 1000000);
}

static int blast_connect_each(char **argv)
{
    blast_prepare(argv[1], -1, true);
    blast_open(strtoul(argv[2], NULL, 10));
    return blast_measure(blast_run, strtoull(argv[4], NULL, 10) * 1000000, strtoull(argv[3], NULL, 10) * 1000000);
}

static int blast_rate(char **argv)
{
    prctl(PR_SET_TIMERSLACK, 1000);
    blast_prepare(argv[1], -1, false);
    blast_open(strtoul(argv[2], NULL, 10));
    blast.interval_ns = 1000000000u / strtoull(argv[5], NULL, 10);
    blast.resting = calloc(blast.n_clients, sizeof(*blast.resting));
    if (!blast.resting || !blast.interval_ns)
        blast_fail("rate");
    return blast_measure(blast_run_at_rate, strtoull(argv[4], NULL, 10) * 1000000,
                         strtoull(argv[3], NULL, 10) * 1000000);
}

static int blast_idle(char **argv)
{
    blast_prepare(argv[1], -1, false);
    blast_open(strtoul(argv[2], NULL, 10));
    if (strcmp(argv[3], "used") == 0)
        blast_each();
    printf("ready\n");
    blast_await_line();
    blast.measuring = true;
    blast_each();
    printf("{\"requests\": %zu, \"errors\": %" PRIu64 ", \"reconnects\": %" PRIu64 "}\n", blast.n_samples,
           blast.n_errors, blast.n_reconnects);
    blast_await_line();
    return blast.n_errors ? 1 : 0;
}

static void blast_pin(const cpu_set_t *set)
{
    if (sched_setaffinity(0, sizeof(*set), set) < 0)
        blast_fail("sched_setaffinity");
}

/* Starts a command on one CPU; its output goes to our standard error. */
static void blast_spawn(int cpu, char **command)
{
    extern char **environ;
    cpu_set_t own, its;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    sched_getaffinity(0, sizeof(own), &own);
    CPU_ZERO(&its);
    CPU_SET((size_t)cpu, &its);
    blast_pin(&its); /* inherited over exec; a wrapper like taskset would be measured too */
    errno = posix_spawnp(&blast_child, command[0], &actions, NULL, command, environ);
    blast_pin(&own);
    posix_spawn_file_actions_destroy(&actions);
    if (errno) {
        blast_child = 0;
        blast_fail(command[0]);
    }
}

static void blast_on_signal(int number)
{
    if (blast_child > 0)
        kill(blast_child, SIGTERM);
    _exit(128 + number);
}

/* One try: is a request served with 200? */
static bool blast_served(void)
{
    char response[BLAST_HEAD_MAX];
    int fd = blast_connect();
    if (fd < 0)
        return false;
    bool ok = send(fd, blast.request, blast.request_length, MSG_NOSIGNAL) == (ssize_t)blast.request_length &&
              recv(fd, response, sizeof(response), 0) > 13 && memcmp(response, "HTTP/1.1 200 ", 13) == 0;
    close(fd);
    return ok;
}

/* Ends the child, by force if it doesn't end by itself. */
static void blast_reap(void)
{
    kill(blast_child, SIGTERM);
    for (int i = 0; i < 3000 && waitpid(blast_child, NULL, WNOHANG) == 0; i++)
        usleep(1000);
    kill(blast_child, SIGKILL); /* fails when it has been reaped, which is fine */
    waitpid(blast_child, NULL, 0);
    blast_child = 0;
}

static int blast_ready(char **argv)
{
    struct sigaction action = {.sa_handler = blast_on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1000); /* else a sleep of 100 us takes 150 */
    blast_prepare(argv[1], -1, false);
    uint64_t start = blast_now_ns();
    blast_spawn(atoi(argv[2]), argv + 3);
    bool served = false;
    while (!served && blast_now_ns() < start + BLAST_READY_NS && waitpid(blast_child, NULL, WNOHANG) == 0) {
        served = blast_served();
        if (!served)
            usleep(100);
    }
    uint64_t elapsed_ns = blast_now_ns() - start;
    blast_reap();
    printf("{\"served\": %s, \"us\": %.1f}\n", served ? "true" : "false", (double)elapsed_ns / 1000);
    return served ? 0 : 1;
}

int main(int argc, char **argv)
{
    wire_init();
    blast.socket = argc > 2 ? argv[2] : "";
    if (argc == 8 && strcmp(argv[1], "load") == 0)
        return blast_load(argv + 2);
    if (argc == 7 && strcmp(argv[1], "connect") == 0)
        return blast_connect_each(argv + 2);
    if (argc == 8 && strcmp(argv[1], "rate") == 0)
        return blast_rate(argv + 2);
    if (argc == 6 && strcmp(argv[1], "idle") == 0)
        return blast_idle(argv + 2);
    if (argc >= 6 && strcmp(argv[1], "ready") == 0)
        return blast_ready(argv + 2);
    fprintf(stderr,
            "usage: %s load SOCKET PATH CONNECTIONS MS WARM_MS UPLOAD\n"
            "       %s connect SOCKET PATH CONNECTIONS MS WARM_MS\n"
            "       %s rate SOCKET PATH CONNECTIONS MS WARM_MS RATE\n"
            "       %s idle SOCKET PATH CONNECTIONS used|fresh\n"
            "       %s ready SOCKET PATH CPU COMMAND...\n",
            argv[0], argv[0], argv[0], argv[0], argv[0]);
    return 2;
}
