#include "proxy/reach/connect.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 2
#define BACKOFF_MOST_MS 100
#define SPARE_HANDLES 8
#define UNIX_PATH_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path))

/* One worker's libcurl: the multi handle that drives connections being made, and easy handles kept for the next. */
struct connector {
    struct loop *loop;  /* borrowed */
    CURLM *multi;       /* owned */
    struct timer timer; /* libcurl's own deadline */
    CURL *spare[SPARE_HANDLES];
    size_t n_spare;
    struct list watches; /* of struct watch: the descriptors libcurl waits for */
    struct list waiting; /* of struct attempt: waiting for libcurl or for their backoff */
};

/* A descriptor that libcurl wants watched while it connects. */
struct watch {
    struct list link;
    struct source source;
    struct connector *connector;
    CURL *easy; /* whose descriptor it is */
};

/* One connection being made. */
struct attempt {
    struct list link; /* in connector.waiting */
    struct connector *connector;
    const struct target_config *target; /* borrowed from the snapshot */
    const struct address *endpoint;
    attempt_fn *fn;
    void *closure;
    CURL *easy;                    /* owned; NULL while backing off */
    struct curl_slist *connect_to; /* owned, NULL unless tls.server_name is set */
    int kept_fd;                   /* the descriptor that libcurl must not close any more, -1 */
    int file_fd;                   /* owned; of an endpoint with a long path, -1 */
    int error_number;              /* of what failed, 0 */
    struct timer backoff;
    struct instant deadline;
    uint64_t backoff_ms;
};

int connect_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -EIO;
}

/* ---- libcurl's multi handle in our loop ---- */

static void connector_settle(struct connector *connector);

static void connector_on_ready(struct source *source, uint32_t events)
{
    struct watch *watch = CONTAINER_OF(source, struct watch, source);
    struct connector *connector = watch->connector;
    int mask = 0, running;

    if (events & EPOLLIN)
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(connector->multi, source->fd, mask, &running);
    connector_settle(connector);
}

static void connector_on_timer(struct timer *timer)
{
    struct connector *connector = CONTAINER_OF(timer, struct connector, timer);
    int running;

    curl_multi_socket_action(connector->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    connector_settle(connector);
}

static int connector_set_timer(CURLM *multi, long timeout_ms, void *closure)
{
    struct connector *connector = closure;

    (void)multi;
    if (timeout_ms < 0)
        timer_disarm(&connector->timer);
    else
        timer_arm(connector->loop, &connector->timer, (uint64_t)timeout_ms);
    return 0;
}

static void watch_free(struct watch *watch)
{
    loop_remove(&watch->source);
    list_remove(&watch->link);
    free(watch);
}

static int connector_set_watch(CURL *easy, curl_socket_t fd, int what, void *closure, void *fd_closure)
{
    struct connector *connector = closure;
    struct watch *watch = fd_closure;
    uint32_t events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (watch)
            watch_free(watch);
        curl_multi_assign(connector->multi, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    /* An attempt that cannot be watched runs into its deadline. To say so here would end the multi handle for good. */
    if (watch) {
        if (loop_modify(&watch->source, events) < 0)
            log_error("cannot watch a connection being made: out of memory");
        return 0;
    }
    watch = calloc(1, sizeof(*watch));
    if (!watch)
        return 0;
    watch->connector = connector;
    watch->easy = easy;
    watch->source = (struct source)SOURCE_INIT;
    list_init(&watch->link);
    if (loop_add(connector->loop, &watch->source, fd, events, connector_on_ready) < 0) {
        free(watch);
        return 0;
    }
    list_append(&connector->watches, &watch->link);
    curl_multi_assign(connector->multi, fd, watch);
    return 0;
}

struct connector *connector_new(struct loop *loop)
{
    struct connector *connector = calloc(1, sizeof(*connector));

    if (!connector)
        return NULL;
    connector->loop = loop;
    list_init(&connector->watches);
    list_init(&connector->waiting);
    timer_init(&connector->timer, connector_on_timer);
    connector->multi = curl_multi_init();
    if (!connector->multi) {
        free(connector);
        return NULL;
    }
    curl_multi_setopt(connector->multi, CURLMOPT_SOCKETFUNCTION, connector_set_watch);
    curl_multi_setopt(connector->multi, CURLMOPT_SOCKETDATA, connector);
    curl_multi_setopt(connector->multi, CURLMOPT_TIMERFUNCTION, connector_set_timer);
    curl_multi_setopt(connector->multi, CURLMOPT_TIMERDATA, connector);
    return connector;
}

void connector_free(struct connector *connector)
{
    if (!connector)
        return;
    while (!list_empty(&connector->waiting))
        connect_cancel(CONTAINER_OF(connector->waiting.next, struct attempt, link));
    while (connector->n_spare)
        curl_easy_cleanup(connector->spare[--connector->n_spare]);
    curl_multi_cleanup(connector->multi);
    while (!list_empty(&connector->watches))
        watch_free(CONTAINER_OF(connector->watches.next, struct watch, link));
    timer_disarm(&connector->timer);
    free(connector);
}

/* ---- opening ---- */

/* Points libcurl's address at a Unix socket whose path is too long for sockaddr_un, through a descriptor of the socket
 * file that stays open until the attempt ends. libcurl lets the callback change the address
 * (CURLOPT_OPENSOCKETFUNCTION(3)), and keeps it in a sockaddr_storage. */
static int attempt_shorten_path(struct attempt *attempt, struct curl_sockaddr *to)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    attempt->file_fd = open(attempt->endpoint->name, O_PATH | O_CLOEXEC);
    if (attempt->file_fd < 0)
        return -errno;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", attempt->file_fd);
    memcpy((char *)to + offsetof(struct curl_sockaddr, addr), &address, sizeof(address));
    to->addrlen = sizeof(address);
    return 0;
}

static curl_socket_t attempt_open(void *closure, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct attempt *attempt = closure;
    int fd;

    (void)purpose;
    if (attempt->endpoint->kind == ADDRESS_UNIX && strlen(attempt->endpoint->name) >= UNIX_PATH_BYTES) {
        int r = attempt_shorten_path(attempt, to);

        if (r < 0) {
            attempt->error_number = -r;
            return CURL_SOCKET_BAD;
        }
    }
    fd = socket(to->family, to->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->protocol);
    if (fd < 0)
        attempt->error_number = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* A descriptor that was taken over is ours to close. */
static int attempt_close(void *closure, curl_socket_t fd)
{
    struct attempt *attempt = closure;

    if (attempt && fd == attempt->kept_fd)
        return 0;
    return close(fd);
}

static CURL *connector_take_handle(struct connector *connector)
{
    if (connector->n_spare)
        return connector->spare[--connector->n_spare];
    return curl_easy_init();
}

static void connector_give_handle(struct connector *connector, CURL *easy)
{
    if (connector->n_spare < SPARE_HANDLES) {
        curl_easy_reset(easy);
        connector->spare[connector->n_spare++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

static void attempt_set_address(struct attempt *attempt, CURL *easy)
{
    const struct address *endpoint = attempt->endpoint;
    char url[512];

    switch (endpoint->kind) {
    case ADDRESS_UNIX:
        /* A long path is put in its place by attempt_open; libcurl only has to know that it is a Unix socket. */
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
                         strlen(endpoint->name) < UNIX_PATH_BYTES ? endpoint->name : "/");
        curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/");
        return;
    case ADDRESS_ABSTRACT:
        curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, endpoint->name);
        curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/");
        return;
    default:
        snprintf(url, sizeof(url), strchr(endpoint->name, ':') ? "%s://[%s]:%u/" : "%s://%s:%u/",
                 endpoint->kind == ADDRESS_HTTPS ? "https" : "http", endpoint->name, (unsigned)endpoint->port);
        curl_easy_setopt(easy, CURLOPT_URL, url);
    }
}

static void attempt_set_tls(struct attempt *attempt, CURL *easy)
{
    const struct target_config *target = attempt->target;

    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, target->tls.verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, target->tls.verify ? 2L : 0L);
    if (target->tls.ca) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, target->tls.ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (target->tls.cert)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, target->tls.cert);
    if (target->tls.key)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, target->tls.key);
}

/* The certificate is checked against the host of the URL, so a server_name becomes the URL's host and
 * CURLOPT_CONNECT_TO leads back to the endpoint. */
static int attempt_set_server_name(struct attempt *attempt, CURL *easy)
{
    const struct address *endpoint = attempt->endpoint;
    char text[1024];

    snprintf(text, sizeof(text), strchr(endpoint->name, ':') ? "::[%s]:%u" : "::%s:%u", endpoint->name,
             (unsigned)endpoint->port);
    attempt->connect_to = curl_slist_append(NULL, text);
    if (!attempt->connect_to)
        return -ENOMEM;
    snprintf(text, sizeof(text), "https://%s:%u/", attempt->target->tls.server_name, (unsigned)endpoint->port);
    curl_easy_setopt(easy, CURLOPT_URL, text);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, attempt->connect_to);
    return 0;
}

static int attempt_add_handle(struct attempt *attempt, uint64_t timeout_ms)
{
    struct connector *connector = attempt->connector;
    CURL *easy = connector_take_handle(connector);

    if (!easy)
        return -ENOMEM;
    attempt->error_number = 0;
    attempt_set_address(attempt, easy);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Giving up does not wait for the resolver's thread, which may hang in getaddrinfo for many seconds. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms ? timeout_ms : 1));
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, attempt_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, attempt);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, attempt);
    if (attempt->endpoint->kind == ADDRESS_HTTPS) {
        /* The descriptor stays libcurl's: it closes it with the handle, when the attempt is long gone. */
        attempt_set_tls(attempt, easy);
        if (attempt->target->tls.server_name && attempt_set_server_name(attempt, easy) < 0) {
            curl_easy_cleanup(easy);
            return -ENOMEM;
        }
    } else {
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, attempt_close);
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, attempt);
    }
    if (curl_multi_add_handle(connector->multi, easy) != CURLM_OK) {
        curl_easy_cleanup(easy);
        return -ENOMEM;
    }
    attempt->easy = easy;
    return 0;
}

/* ---- ending ---- */

/* libcurl closes the descriptor of an unfinished attempt before it says so; by then it may be another thread's. */
static void attempt_unwatch(const struct attempt *attempt)
{
    struct list *watches = &attempt->connector->watches;

    for (struct list *link = watches->next; link != watches; link = link->next) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);

        if (watch->easy == attempt->easy)
            loop_remove(&watch->source);
    }
}

static void attempt_drop_handle(struct attempt *attempt)
{
    if (attempt->easy) {
        attempt_unwatch(attempt);
        curl_multi_remove_handle(attempt->connector->multi, attempt->easy);
        connector_give_handle(attempt->connector, attempt->easy);
        attempt->easy = NULL;
    }
    curl_slist_free_all(attempt->connect_to);
    attempt->connect_to = NULL;
    if (attempt->file_fd >= 0)
        close(attempt->file_fd);
    attempt->file_fd = -1;
}

static void attempt_free(struct attempt *attempt)
{
    if (!attempt)
        return;
    attempt_drop_handle(attempt);
    timer_disarm(&attempt->backoff);
    list_remove(&attempt->link);
    free(attempt);
}

void connect_cancel(struct attempt *attempt)
{
    attempt_free(attempt);
}

static enum outcome attempt_outcome(CURLcode code, int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return OUTCOME_TARGET_ABSENT;
    case EACCES:
    case EPERM:
        return OUTCOME_TARGET_DENIED;
    case ECONNREFUSED:
        return OUTCOME_TARGET_REFUSED;
    case EAGAIN:
        return OUTCOME_TARGET_FULL;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return OUTCOME_INTERNAL;
    default:
        break;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return OUTCOME_CONNECT_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return OUTCOME_INTERNAL;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
        return OUTCOME_TLS_FAILED;
    default:
        return OUTCOME_CONNECT_FAILED;
    }
}

/* Makes the connection ours: a plain one leaves libcurl altogether. */
static void attempt_take_channel(struct attempt *attempt, struct channel *ret_channel)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    curl_easy_getinfo(attempt->easy, CURLINFO_ACTIVESOCKET, &fd);
    *ret_channel = (struct channel){.fd = fd, .multi = attempt->connector->multi};
    if (attempt->endpoint->kind == ADDRESS_HTTPS) {
        curl_easy_setopt(attempt->easy, CURLOPT_OPENSOCKETDATA, NULL);
        /* The list must live as long as the handle: it goes with it. */
        curl_easy_setopt(attempt->easy, CURLOPT_PRIVATE, attempt->connect_to);
        attempt->connect_to = NULL;
        ret_channel->tls = attempt->easy;
        attempt->easy = NULL;
    } else {
        attempt->kept_fd = fd;
        attempt_drop_handle(attempt);
    }
}

static bool attempt_try(struct attempt *attempt);

static void attempt_on_backoff(struct timer *timer)
{
    struct attempt *attempt = CONTAINER_OF(timer, struct attempt, backoff);
    struct connector *connector = attempt->connector;

    if (!attempt_try(attempt)) {
        attempt->fn(attempt->closure, OUTCOME_INTERNAL, ENOMEM, NULL);
        attempt_free(attempt);
        return;
    }
    connector_settle(connector);
}

/* Why connect(2) failed. A full backlog of a Unix socket is EAGAIN, which libcurl takes for a connection under way,
 * sees that it is none, and then has no errno to tell (Curl_socket_connect_result, 7.88 to 8.14). */
static int attempt_connect_errno(struct attempt *attempt)
{
    bool is_unix = address_is_unix(attempt->endpoint->kind);
    long number = 0;

    curl_easy_getinfo(attempt->easy, CURLINFO_OS_ERRNO, &number);
    if (is_unix && (number == 0 || number == ENOTCONN || number == EINPROGRESS))
        return EAGAIN;
    return (int)number;
}

/* What libcurl's verdict means: an end (true, with *ret_outcome), or another try later (false). */
static bool attempt_is_over(struct attempt *attempt, CURLcode code, enum outcome *ret_outcome)
{
    struct instant now = loop_now(attempt->connector->loop);

    if (code == CURLE_OK) {
        *ret_outcome = OUTCOME_FORWARDED;
        return true;
    }
    if (attempt->error_number == 0 && code == CURLE_COULDNT_CONNECT)
        attempt->error_number = attempt_connect_errno(attempt);
    *ret_outcome = attempt_outcome(code, attempt->error_number);
    if (attempt->error_number != EAGAIN || !instant_before(now, attempt->deadline))
        return true;
    attempt_drop_handle(attempt);
    timer_arm(attempt->connector->loop, &attempt->backoff, attempt->backoff_ms);
    if (attempt->backoff_ms < BACKOFF_MOST_MS)
        attempt->backoff_ms *= 2;
    return false;
}

/* Hands a handle to libcurl and lets it take its first steps. */
static bool attempt_try(struct attempt *attempt)
{
    struct connector *connector = attempt->connector;
    struct instant now = loop_now(connector->loop);
    uint64_t left_ms = instant_before(now, attempt->deadline) ? (attempt->deadline.ns - now.ns) / 1000000u : 1;
    int running;

    if (attempt_add_handle(attempt, left_ms) < 0)
        return false;
    curl_multi_socket_action(connector->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    return true;
}

/* Ends every attempt that libcurl has finished with. */
static void connector_settle(struct connector *connector)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(connector->multi, &left))) {
        struct attempt *attempt = NULL;
        struct channel channel = CHANNEL_INIT;
        enum outcome outcome;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&attempt);
        if (!attempt_is_over(attempt, message->data.result, &outcome))
            continue;
        if (outcome == OUTCOME_FORWARDED)
            attempt_take_channel(attempt, &channel);
        /* The callback may start or cancel other attempts; this one is out of everybody's reach. */
        list_remove(&attempt->link);
        attempt->fn(attempt->closure, outcome, attempt->error_number, &channel);
        attempt_free(attempt);
    }
}

/* An attempt that ends inside connect_start reports to its caller's frame. */
struct immediate {
    bool over;
    enum outcome outcome;
    int error_number;
    struct channel channel;
};

static void immediate_set(void *closure, enum outcome outcome, int error_number, struct channel *channel)
{
    struct immediate *immediate = closure;

    immediate->over = true;
    immediate->outcome = outcome;
    immediate->error_number = error_number;
    if (channel)
        immediate->channel = *channel;
}

enum connect_result connect_start(struct connector *connector, const struct target_config *target,
                                  const struct address *endpoint, attempt_fn *fn, void *closure,
                                  struct channel *ret_channel, struct attempt **ret_attempt, enum outcome *ret_outcome,
                                  int *ret_errno)
{
    struct immediate immediate = {.over = false, .channel = CHANNEL_INIT};
    struct attempt *attempt = calloc(1, sizeof(*attempt));

    *ret_outcome = OUTCOME_INTERNAL;
    *ret_errno = ENOMEM;
    if (!attempt)
        return CONNECT_FAILED;
    *attempt = (struct attempt){.connector = connector,
                                .target = target,
                                .endpoint = endpoint,
                                .fn = immediate_set,
                                .closure = &immediate,
                                .kept_fd = -1,
                                .file_fd = -1,
                                .deadline = instant_add_ms(loop_now(connector->loop), target->connect_timeout_ms),
                                .backoff_ms = BACKOFF_FIRST_MS};
    timer_init(&attempt->backoff, attempt_on_backoff);
    list_init(&attempt->link);
    list_append(&connector->waiting, &attempt->link);
    if (!attempt_try(attempt)) {
        attempt_free(attempt);
        return CONNECT_FAILED;
    }
    connector_settle(connector);
    if (!immediate.over) {
        attempt->fn = fn;
        attempt->closure = closure;
        *ret_attempt = attempt;
        return CONNECT_WAIT;
    }
    *ret_outcome = immediate.outcome;
    *ret_errno = immediate.error_number;
    if (immediate.outcome != OUTCOME_FORWARDED)
        return CONNECT_FAILED;
    *ret_channel = immediate.channel;
    return CONNECT_DONE;
}
