/* An attempt is one connection being made: a transfer of the connector for each try, with pauses between them while a
 * Unix socket's backlog is full. Where a host name leads to is asked of the resolver and told to libcurl, which never
 * asks by itself; among several addresses libcurl chooses, IPv6 and IPv4 beside each other (RFC 8305). When nothing
 * answers there, the name may have moved: it is asked for anew, and another answer is tried. An attempt ends in
 * attempt_finish with a channel or a failure; connect_start's caller is told by its return value where that has
 * happened before it returns, by the callback otherwise. */
#include "proxy/reach/connect.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/reach/connect_name.h"
#include "proxy/reach/connect_reason.h"
#include "proxy/reach/connect_socket.h"
#include "proxy/reach/connect_tls.h"
#include "proxy/reach/tls_setup.h"

#define BACKOFF_FIRST_MS 2
#define BACKOFF_MOST_MS 100
#define MOST_UNREAD 5 /* 62 ms */

const struct state_machine attempt_machine = {
    .name = "attempt",
    .n_states = N_ATTEMPT_STATES,
    .states =
        {
            [ATTEMPT_RESOLVING] = {"RESOLVING", STATE_BIT(ATTEMPT_TRYING) | STATE_BIT(ATTEMPT_OVER)},
            [ATTEMPT_TRYING] = {"TRYING", STATE_BIT(ATTEMPT_RESOLVING) | STATE_BIT(ATTEMPT_BACKING_OFF) |
                                              STATE_BIT(ATTEMPT_OVER)},
            [ATTEMPT_BACKING_OFF] = {"BACKING_OFF", STATE_BIT(ATTEMPT_TRYING)},
            [ATTEMPT_OVER] = {"OVER", 0},
        },
};

/* One connection being made. Owned by itself; whoever asked may cancel it. */
struct attempt {
    enum attempt_state state;
    struct transfer transfer;    /* at work while TRYING */
    struct connector *connector; /* borrowed, like the next */
    struct loop *loop;
    struct destination to;
    attempt_fn *fn; /* NULL while connect_start runs */
    void *closure;
    struct connect_socket socket;
    struct curl_slist *list;     /* owned; of the handle's options, NULL */
    struct connect_name name;    /* asked while RESOLVING; without a host it is all NULL */
    struct addresses *addresses; /* owned; where the host name leads to, NULL before that is known */
    struct curl_slist *resolved; /* owned; those addresses, as the handle was told, NULL */
    bool asked_anew;             /* nothing answered there, which happens once */
    char said[CURL_ERROR_SIZE];  /* written by libcurl */
    struct timer backoff;        /* armed while BACKING_OFF */
    struct instant deadline;
    uint64_t timeout_ms;
    unsigned n_unread; /* times that the files of its certificate could not be used */
    bool overslept;    /* the deadline was put off, which happens once */
    uint64_t backoff_ms;
    struct connect_tls tls; /* of https, while TRYING */
    struct channel channel; /* OVER: the connection, or closed and `failure` says why */
    struct failure failure;
};

int connect_global_init(bool with_tls)
{
    if (!with_tls)
        tls_setup_put_off();
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -EIO;
}

static void attempt_move(struct attempt *attempt, enum attempt_state to)
{
    state_check(&attempt_machine, attempt->state, to);
    attempt->state = to;
}

/* ---- ending ---- */

static void attempt_drop_handle(struct attempt *attempt)
{
    connector_end(&attempt->transfer);
    curl_slist_free_all(attempt->list);
    curl_slist_free_all(attempt->resolved);
    attempt->list = attempt->resolved = NULL;
    connect_socket_end(&attempt->socket);
}

static void attempt_free(struct attempt *attempt)
{
    if (!attempt)
        return;
    attempt_drop_handle(attempt);
    timer_disarm(&attempt->backoff);
    if (attempt->name.host)
        connect_name_end(&attempt->name);
    addresses_unref(attempt->addresses);
    free(attempt);
}

void connect_cancel(struct attempt *attempt)
{
    attempt_free(attempt);
}

/* Tells whoever asked, and is gone. */
static void attempt_finish(struct attempt *attempt)
{
    attempt_move(attempt, ATTEMPT_OVER);
    if (!attempt->fn)
        return;
    attempt->fn(attempt->closure, failure_is_set(&attempt->failure) ? NULL : &attempt->channel, &attempt->failure);
    attempt_free(attempt);
}

/* Makes the connection ours: a plain one leaves libcurl altogether, the handle of a TLS connection goes with it. */
static void attempt_take_channel(struct attempt *attempt)
{
    CURL *easy = attempt->transfer.easy;
    curl_socket_t fd = CURL_SOCKET_BAD;
    struct channel_tls *tls;

    curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
    if (attempt->to.address->kind != ADDRESS_HTTPS) {
        attempt->channel.fd = attempt->socket.kept_fd = fd;
        return;
    }
    tls = malloc(sizeof(*tls));
    if (!tls) {
        failure_set(&attempt->failure, OUTCOME_INTERNAL, ENOMEM, NULL);
        return;
    }
    tls->easy = connector_release(&attempt->transfer, &tls->multi);
    tls->list = attempt->list;
    tls->reason[0] = '\0';
    tls->facts = attempt->tls.facts;
    connect_tls_end(&attempt->tls);
    attempt->list = NULL;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, NULL);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, tls->reason);
    attempt->channel = (struct channel){.fd = fd, .tls = tls};
}

/* ---- why ---- */

static enum outcome attempt_outcome_of_errno(int error_number)
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
        return OUTCOME_NO_DESCRIPTORS;
    case ENOMEM:
        return OUTCOME_INTERNAL;
    default:
        return OUTCOME_PENDING;
    }
}

static enum outcome attempt_outcome(CURLcode code, int error_number)
{
    enum outcome outcome = attempt_outcome_of_errno(error_number);

    if (outcome != OUTCOME_PENDING)
        return outcome;
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

/* Why connect(2) failed. A full backlog of a Unix socket is EAGAIN, which libcurl takes for a connection under way,
 * sees that it is none, and then has no errno to tell (Curl_socket_connect_result, 7.88 to 8.14). */
static int attempt_errno(const struct attempt *attempt, CURLcode code)
{
    bool is_unix = address_is_unix(attempt->to.address->kind);
    long number = 0;

    /* Nothing is ever under way to a Unix socket: when libcurl's clock ends a later try, the ones before were refused.
     */
    if (is_unix && code == CURLE_OPERATION_TIMEDOUT && attempt->backoff_ms > BACKOFF_FIRST_MS)
        return EAGAIN;
    if (attempt->socket.error_number != 0 || code != CURLE_COULDNT_CONNECT)
        return attempt->socket.error_number;
    curl_easy_getinfo(attempt->transfer.easy, CURLINFO_OS_ERRNO, &number);
    if (is_unix && (number == 0 || number == ENOTCONN || number == EINPROGRESS))
        return EAGAIN;
    return (int)number;
}

static void attempt_fail(struct attempt *attempt, CURLcode code, int error_number)
{
    enum outcome outcome = attempt_outcome(code, error_number);
    char where[CONNECT_SOCKET_WHERE_BYTES], reason[FAILURE_REASON_BYTES];

    connect_socket_where(&attempt->socket, where);
    connect_reason(reason, sizeof(reason), (int)code, error_number, where, attempt->said);
    /* Of a Unix socket, the errno says it all. */
    failure_set(&attempt->failure, outcome, error_number, error_number && where[0] == '\0' ? NULL : reason);
}

/* The name service has no answer, or (NULL) has given none in time. */
static void attempt_fail_to_resolve(struct attempt *attempt, const struct resolver_answer *answer)
{
    char reason[FAILURE_REASON_BYTES];

    if (answer) {
        resolver_explain(attempt->to.address->name, answer, reason, sizeof(reason));
        failure_set(&attempt->failure, OUTCOME_CONNECT_FAILED, 0, reason);
    } else {
        snprintf(reason, sizeof(reason), "cannot resolve %s: no answer in %llu ms", attempt->to.address->name,
                 (unsigned long long)attempt->timeout_ms);
        failure_set(&attempt->failure, OUTCOME_CONNECT_TIMEOUT, 0, reason);
    }
}

/* ---- trying ---- */

static uint64_t attempt_left_ms(const struct attempt *attempt)
{
    struct instant now = loop_now(attempt->loop);

    return instant_before(now, attempt->deadline) ? (attempt->deadline.ns - now.ns) / 1000000u : 0;
}

static void attempt_back_off(struct attempt *attempt)
{
    attempt_move(attempt, ATTEMPT_BACKING_OFF);
    timer_arm(attempt->loop, &attempt->backoff, attempt->backoff_ms);
    if (attempt->backoff_ms < BACKOFF_MOST_MS)
        attempt->backoff_ms *= 2;
}

/* A process that was stopped or frozen finds the deadline passed, although the other side may have answered in time:
 * libcurl looks at its clock first. No request has been sent, so it does no harm to begin anew, with all the time. */
static bool attempt_puts_off(struct attempt *attempt, CURLcode code)
{
    struct instant now;

    if (code != CURLE_OPERATION_TIMEDOUT || attempt->overslept)
        return false;
    now = instant_now(); /* as libcurl does: the stop may have come in the middle of a round */
    if (!instant_is_overslept(attempt->deadline, now))
        return false;
    attempt->overslept = true;
    attempt->deadline = instant_add_ms(now, attempt->timeout_ms);
    return true;
}

/* Files of a certificate that are replaced one after the other, or written in place, do not fit for a moment. They are
 * read before a byte is sent. */
static bool attempt_reads_again(struct attempt *attempt, CURLcode code)
{
    return (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE) && attempt->n_unread++ < MOST_UNREAD;
}

/* Whether another try may succeed: the backlog may be shorter, a descriptor may be free that an idle connection had. */
static bool attempt_may_wait(struct attempt *attempt, CURLcode code, int error_number)
{
    if (attempt_puts_off(attempt, code))
        return true;
    if (!instant_before(loop_now(attempt->loop), attempt->deadline))
        return false;
    return error_number == EAGAIN || attempt_reads_again(attempt, code) ||
           ((error_number == EMFILE || error_number == ENFILE) && connector_make_room(attempt->connector));
}

static bool attempt_doubts(struct attempt *attempt);

/* libcurl's verdict: an end, or another try later. */
static void attempt_on_done(struct transfer *transfer, int code)
{
    struct attempt *attempt = CONTAINER_OF(transfer, struct attempt, transfer);
    int error_number = attempt_errno(attempt, (CURLcode)code);
    bool may_wait = code != CURLE_OK && attempt_may_wait(attempt, (CURLcode)code, error_number);

    if (code == CURLE_OK)
        attempt_take_channel(attempt);
    else if (!may_wait)
        attempt_fail(attempt, (CURLcode)code, error_number);
    attempt_drop_handle(attempt);
    if (may_wait)
        attempt_back_off(attempt);
    else if (code == CURLE_OK || !attempt_doubts(attempt))
        attempt_finish(attempt);
}

static int attempt_set_options(struct attempt *attempt, CURL *easy)
{
    uint64_t left_ms = attempt_left_ms(attempt);
    int r = connect_options_set(easy, &attempt->to, left_ms ? left_ms : 1, &attempt->list);

    if (r < 0 || !attempt->addresses)
        return r;
    return connect_options_set_addresses(easy, attempt->to.address, attempt->addresses, &attempt->resolved);
}

/* Hands a handle to libcurl and lets it take its first steps, which may be the last. */
static void attempt_try(struct attempt *attempt)
{
    CURL *easy = connector_take_handle(attempt->connector);

    if (easy && attempt_set_options(attempt, easy) == 0) {
        connect_socket_begin(&attempt->socket, easy);
        attempt->said[0] = '\0';
        if (attempt->to.address->kind == ADDRESS_HTTPS)
            connect_tls_begin(&attempt->tls, easy);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, attempt->said);
        if (connector_start(attempt->connector, &attempt->transfer, easy) == 0)
            return;
    } else if (easy) {
        connector_give_handle(attempt->connector, easy);
    }
    failure_set(&attempt->failure, OUTCOME_INTERNAL, ENOMEM, NULL);
    attempt_finish(attempt);
}

/* ---- resolving ---- */

static void attempt_resolve(struct attempt *attempt);

/* Takes over what was found. An answer that says what was known already ends the attempt as its try has. */
static void attempt_on_resolved(struct connect_name *name, struct addresses *found,
                                const struct resolver_answer *answer)
{
    struct attempt *attempt = CONTAINER_OF(name, struct attempt, name);

    if (!attempt->addresses && !found) {
        if (!answer && attempt_puts_off(attempt, CURLE_OPERATION_TIMEDOUT)) {
            attempt_resolve(attempt);
            return;
        }
        attempt_fail_to_resolve(attempt, answer);
    }
    if (!found || (attempt->addresses && addresses_equal(found, attempt->addresses))) {
        addresses_unref(found);
        attempt_finish(attempt);
        return;
    }
    addresses_unref(attempt->addresses);
    attempt->addresses = found;
    attempt->socket.known = found;
    failure_init(&attempt->failure);
    attempt_move(attempt, ATTEMPT_TRYING);
    attempt_try(attempt);
}

static void attempt_resolve(struct attempt *attempt)
{
    struct resolver_answer answer;
    enum resolver_result result = connect_name_ask(&attempt->name, attempt_left_ms(attempt), &answer);

    if (result != RESOLVER_WAIT)
        attempt_on_resolved(&attempt->name, answer.found, &answer);
}

/* A try has failed. Whether the name may have moved, which is asked for; then the attempt goes on, or is over. */
static bool attempt_doubts(struct attempt *attempt)
{
    if (!attempt->addresses || attempt->asked_anew)
        return false;
    attempt->asked_anew = true;
    resolver_doubt(attempt->name.desk->resolver, attempt->name.host, loop_now(attempt->loop));
    if (attempt_left_ms(attempt) == 0)
        return false;
    attempt_move(attempt, ATTEMPT_RESOLVING);
    attempt_resolve(attempt);
    return true;
}

static void attempt_on_backoff(struct timer *timer)
{
    struct attempt *attempt = CONTAINER_OF(timer, struct attempt, backoff);

    attempt_move(attempt, ATTEMPT_TRYING);
    attempt_try(attempt);
}

/* A host whose addresses have to be asked for. */
static void attempt_set_name(struct attempt *attempt)
{
    const struct address *address = attempt->to.address;

    attempt->name.host = NULL;
    if (address_is_unix(address->kind) || !addresses_are_asked_for(address->name))
        return;
    assert(connector_desk(attempt->connector));
    connect_name_init(&attempt->name, connector_desk(attempt->connector), attempt->loop, address->name,
                      attempt->to.resolve_every_ms, attempt_on_resolved);
    attempt->state = ATTEMPT_RESOLVING;
}

static struct attempt *attempt_new(struct connector *connector, const struct destination *to, uint64_t timeout_ms)
{
    struct attempt *attempt = malloc(sizeof(*attempt));

    if (!attempt)
        return NULL;
    attempt->state = ATTEMPT_TRYING;
    attempt->transfer = (struct transfer){.connector = connector, .done = attempt_on_done};
    attempt->connector = connector;
    attempt->loop = connector_loop(connector);
    attempt->to = *to;
    attempt->fn = NULL;
    attempt->list = attempt->resolved = NULL;
    attempt->addresses = NULL;
    attempt->asked_anew = false;
    attempt->deadline = instant_add_ms(loop_now(attempt->loop), timeout_ms);
    attempt->timeout_ms = timeout_ms;
    attempt->overslept = false;
    attempt->n_unread = 0;
    attempt->backoff_ms = BACKOFF_FIRST_MS;
    attempt->channel = (struct channel)CHANNEL_INIT;
    connect_socket_init(&attempt->socket, to->address);
    timer_init(&attempt->backoff, attempt_on_backoff);
    failure_init(&attempt->failure);
    attempt_set_name(attempt);
    return attempt;
}

enum connect_result connect_start(struct connector *connector, const struct destination *to, uint64_t timeout_ms,
                                  attempt_fn *fn, void *closure, struct channel *ret_channel,
                                  struct attempt **ret_attempt, struct failure *ret_failure)
{
    struct attempt *attempt = attempt_new(connector, to, timeout_ms);
    enum connect_result result = CONNECT_DONE;

    if (!attempt) {
        failure_set(ret_failure, OUTCOME_INTERNAL, ENOMEM, NULL);
        return CONNECT_FAILED;
    }
    if (attempt->state == ATTEMPT_RESOLVING)
        attempt_resolve(attempt);
    else
        attempt_try(attempt);
    if (attempt->state != ATTEMPT_OVER) {
        attempt->fn = fn;
        attempt->closure = closure;
        *ret_attempt = attempt;
        return CONNECT_WAIT;
    }
    if (failure_is_set(&attempt->failure)) {
        *ret_failure = attempt->failure;
        result = CONNECT_FAILED;
    } else {
        *ret_channel = attempt->channel;
    }
    attempt_free(attempt);
    return result;
}

struct connect_versions connect_library_versions(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

    return (struct connect_versions){curl->version, curl->ssl_version ? curl->ssl_version : "none"};
}
