/* All signals come through one descriptor, so that each is heeded between two callbacks of the main thread's loop and
 * may do whatever a callback may. */
#include "proxy/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/output.h"

#define SAME_WISH_MS 1000 /* a shell, a supervisor and a terminal may all pass a signal on */

/* One that follows another in a moment is the same wish. */
static void signals_stop(struct signals *signals, const char *name)
{
    struct instant now = loop_now(signals->loop);

    if (signals->stop_heard.ns > 0 && instant_before(now, instant_add_ms(signals->stop_heard, SAME_WISH_MS)))
        return;
    signals->stop_heard = now;
    signals->host->stop(signals, name);
}

/* As the first process of a container: whoever loses its parent is our child. */
static void signals_bury_orphans(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static void signals_reopen_logs(void)
{
    struct error error = ERROR_INIT;

    if (output_reopen_all(&error) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "a log file cannot be opened again", LOG_STRING("error", error.message));
    else
        log_info("log files are opened again");
}

static void signals_heed(struct signals *signals, int number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
        signals_stop(signals, strsignal(number));
        break;
    case SIGHUP:
        signals->host->reload(signals);
        break;
    case SIGUSR1:
        signals_reopen_logs();
        break;
    case SIGCHLD:
        signals_bury_orphans();
        break;
    default:
        LOG_EVENT(LOG_LEVEL_WARN, "a signal means nothing here", LOG_NUMBER("number", (uint64_t)number),
                  LOG_STRING("signal", strsignal(number)));
        break;
    }
}

static void signals_on_readable(struct source *source, uint32_t events)
{
    struct signals *signals = CONTAINER_OF(source, struct signals, source);
    struct signalfd_siginfo info;

    (void)events;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals_heed(signals, (int)info.ssi_signo);
}

/* Those we know, and those that would end the process without any need, leaving its sockets behind. */
static void signals_choose(sigset_t *set)
{
    static const int numbers[] = {SIGTERM, SIGINT,    SIGQUIT, SIGHUP, SIGUSR1,  SIGUSR2,
                                  SIGALRM, SIGVTALRM, SIGPROF, SIGIO,  SIGSTKFLT};

    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        sigaddset(set, numbers[i]);
    if (getpid() == 1)
        sigaddset(set, SIGCHLD);
}

int signals_watch(struct signals *signals, struct loop *loop, const struct signals_host *host, struct error *error)
{
    sigset_t set;
    int r;

    signals->host = host;
    signals->loop = loop;
    signals_choose(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow any more */
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0)
        return error_set(error, -errno, "cannot receive signals: %s", strerror(errno));
    r = loop_add(loop, &signals->source, signals->fd, EPOLLIN, signals_on_readable);
    return r < 0 ? error_set(error, r, "cannot receive signals: %s", strerror(-r)) : 0;
}

void signals_deinit(struct signals *signals)
{
    loop_remove(&signals->source);
    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
}
