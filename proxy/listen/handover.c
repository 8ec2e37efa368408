#include "proxy/listen/handover.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"

#define ANSWER_MS 5000 /* for the other process to say that it has left; it is told of when that is over */

/* ---- what is the matter ---- */

/* "process 12", or what can be said of one in another namespace of processes. */
static const char *handover_show_process(const struct handover_peer *peer, char out[48])
{
    if (peer->pid > 0)
        snprintf(out, 48, "process %d", (int)peer->pid);
    else
        snprintf(out, 48, "a process of another container");
    return out;
}

/* Whether it is stopped, by a signal or a debugger: it will not answer. */
static bool handover_is_stopped(pid_t pid)
{
    char path[32], stat[256];
    const char *state = NULL;
    size_t n = 0;
    FILE *file;

    if (pid <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file) {
        n = fread(stat, 1, sizeof(stat) - 1, file);
        fclose(file);
    }
    stat[n] = '\0';
    state = strrchr(stat, ')'); /* its name may have any bytes */
    return state && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}

static int handover_fail_silent(const struct handover *handover, struct error *error)
{
    char process[48];

    handover_show_process(&handover->peer, process);
    if (handover_is_stopped(handover->peer.pid))
        return error_set(error, -ETIMEDOUT,
                         "cannot take over %s: %s, which serves it, does not answer, for it is stopped; let it go on "
                         "(kill -CONT %d) or end it, then start again",
                         handover->address, process, (int)handover->peer.pid);
    return error_set(error, -ETIMEDOUT,
                     "cannot take over %s: %s, which serves it, does not answer; if it is frozen, let it go on or end "
                     "it, then start again",
                     handover->address, process);
}

static int handover_fail_foreign(const struct handover *handover, struct error *error)
{
    char process[48];

    return error_set(error, -EPERM,
                     "cannot take over %s: %s of uid %u has the private socket for that; stop it: --takeover is for "
                     "processes of the same user (this process has uid %u)",
                     handover->address, handover_show_process(&handover->peer, process), handover->peer.uid, geteuid());
}

static int handover_fail_strange(const struct handover *handover, const char *what, struct error *error)
{
    char process[48];

    return error_set(error, -EPROTO,
                     "cannot take over %s: %s, which has the private socket for that, %s; stop it first",
                     handover->address, handover_show_process(&handover->peer, process), what);
}

static int handover_fail_errno(const struct handover *handover, int r, struct error *error)
{
    return error_set(error, r, "cannot take over %s: %s", handover->address, strerror(-r));
}

int handover_fail(enum handover_verdict verdict, const char *address, struct error *error)
{
    static const char *const why[] = {
        [HANDOVER_GOT] = NULL,
        [HANDOVER_NOBODY] = "another process serves it and does not offer it: no porthole, or one of a version that "
                            "hands over paths only; stop it first",
        [HANDOVER_BUSY_NOW] = "another successor has it and does not come to serve it; end that one, then start again",
        [HANDOVER_DRAINS] = "the process that serves it is stopping, but does not let go of it; end it, then start "
                            "again",
        [HANDOVER_CLOSED] = "the process that serves it does not give it; its log may say why",
        [HANDOVER_CROWDED] = "too many ask the process that serves it; stop those, or stop that process first",
    };

    return error_set(error, -EADDRINUSE, "cannot take over %s: %s", address, why[verdict]);
}

/* ---- asking ---- */

static int handover_make(const char *address, struct handover **ret_handover)
{
    struct handover *handover = calloc(1, sizeof(*handover));

    if (!handover)
        return -ENOMEM;
    *handover = (struct handover){.connection = -1, .fds = {-1, -1}, .source = SOURCE_INIT};
    timer_init(&handover->patience, NULL);
    snprintf(handover->address, sizeof(handover->address), "%s", address);
    *ret_handover = handover;
    return 0;
}

/* Waits for an answer. 0 or -ETIMEDOUT. */
static int handover_await(const struct handover *handover, struct instant deadline)
{
    struct pollfd answer = {.fd = handover->connection, .events = POLLIN};

    for (;;) {
        uint64_t left_us = instant_elapsed_us(instant_now(), deadline);
        int n = poll(&answer, 1, (int)((left_us + 999) / 1000));

        if (n > 0 || (n < 0 && errno != EINTR))
            return 0; /* whatever is the matter, receiving tells */
        if (left_us == 0)
            return -ETIMEDOUT;
    }
}

/* What the answer says. Its descriptors are the handover's. */
static int handover_judge(struct handover *handover, struct handover_packet *packet, struct error *error)
{
    if (packet->message.word == HANDOVER_HERE && packet->fds[HANDOVER_LISTENER] >= 0) {
        if (handover_check(packet->fds, handover->address) < 0)
            return handover_fail_strange(handover, "gives another socket for it", error);
        memcpy(handover->fds, packet->fds, sizeof(handover->fds));
        packet->fds[HANDOVER_LISTENER] = packet->fds[HANDOVER_PRIVATE] = -1;
        return HANDOVER_GOT;
    }
    switch (packet->message.word) {
    case HANDOVER_BUSY:
        return HANDOVER_BUSY_NOW;
    case HANDOVER_DRAINING:
        return HANDOVER_DRAINS;
    case HANDOVER_UNKNOWN:
        return HANDOVER_NOBODY;
    case HANDOVER_OTHER:
        return handover_fail_strange(handover, "speaks of takeovers in another way, being of another version", error);
    default:
        return handover_fail_strange(handover, "says what it may not say", error);
    }
}

static int handover_receive_answer(struct handover *handover, struct error *error)
{
    struct handover_packet packet;
    int r = handover_receive(handover->connection, true, &packet);

    if (r == -ECONNRESET || r == -EAGAIN)
        return HANDOVER_CLOSED;
    if (r == -EPROTO)
        return handover_fail_strange(handover, "does not speak as a porthole does", error);
    if (r < 0)
        return handover_fail_errno(handover, r, error);
    r = handover_judge(handover, &packet, error);
    handover_packet_deinit(&packet);
    return r;
}

static int handover_question(struct handover *handover, struct instant deadline, struct error *error)
{
    int r = handover_connect(handover->address);

    if (r == -ECONNREFUSED)
        return HANDOVER_NOBODY;
    if (r == -EAGAIN)
        return HANDOVER_CROWDED;
    if (r < 0)
        return handover_fail_errno(handover, r, error);
    handover->connection = r;
    r = handover_peer(handover->connection, &handover->peer);
    if (r < 0)
        return handover_fail_errno(handover, r, error);
    if (!handover->peer.ours)
        return handover_fail_foreign(handover, error);
    r = handover_send(handover->connection, HANDOVER_TAKE, handover->address, NULL);
    if (r < 0)
        return HANDOVER_CLOSED;
    if (handover_await(handover, deadline) < 0)
        return handover_fail_silent(handover, error);
    return handover_receive_answer(handover, error);
}

int handover_ask(const char *address, struct instant deadline, struct handover **ret_handover, struct error *error)
{
    struct handover *handover;
    int r = handover_make(address, &handover);

    if (r < 0)
        return error_set(error, r, "out of memory");
    r = handover_question(handover, deadline, error);
    if (r == HANDOVER_GOT)
        *ret_handover = handover;
    else
        handover_free(handover);
    return r;
}

/* ---- serving ---- */

static void handover_on_patience(struct timer *timer)
{
    const struct handover *handover = CONTAINER_OF(timer, struct handover, patience);

    LOG_EVENT(LOG_LEVEL_WARN, "who served a listener before does not answer: it leaves when it goes on",
              LOG_STRING("address", handover->address), LOG_NUMBER("pid", (uint64_t)handover->peer.pid),
              LOG_STRING("state", handover_is_stopped(handover->peer.pid) ? "stopped" : NULL));
}

static void handover_on_answer(struct source *source, uint32_t events)
{
    struct handover *handover = CONTAINER_OF(source, struct handover, source);
    struct handover_packet packet = {.message.word = HANDOVER_OTHER};
    int r = handover_receive(handover->connection, false, &packet);

    (void)events;
    /* It has ended without having read what we said last; something may lie before that. */
    if (r == -ECONNRESET)
        r = handover_receive(handover->connection, false, &packet);
    if (r == -EAGAIN)
        return;
    timer_disarm(&handover->patience);
    loop_remove(source);
    if (r == 0 && packet.message.word == HANDOVER_LATE)
        handover->host->lost(handover->host, handover);
    else
        handover->host->done(handover->host, handover, r == 0 && packet.message.word == HANDOVER_LEFT);
}

int handover_serve(struct handover *handover, struct loop *loop, struct handover_host *host)
{
    int r;

    /* If it cannot be sent, the other has ended, or has said why it closed: the loop finds out. */
    (void)!handover_send(handover->connection, HANDOVER_SERVING, NULL, NULL);
    r = loop_add(loop, &handover->source, handover->connection, EPOLLIN, handover_on_answer);
    if (r < 0)
        return r;
    handover->loop = loop;
    handover->host = host;
    timer_init(&handover->patience, handover_on_patience);
    timer_arm(loop, &handover->patience, ANSWER_MS);
    return 0;
}

void handover_free(struct handover *handover)
{
    if (!handover)
        return;
    timer_disarm(&handover->patience);
    loop_remove(&handover->source);
    for (int i = 0; i < HANDOVER_N_DESCRIPTORS; i++)
        if (handover->fds[i] >= 0)
            close(handover->fds[i]);
    if (handover->connection >= 0)
        close(handover->connection);
    free(handover);
}
