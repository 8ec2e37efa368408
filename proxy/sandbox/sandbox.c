#include "proxy/sandbox/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proxy/base/log.h"
#include "proxy/sandbox/filter.h"
#include "proxy/sandbox/landlock.h"
#include "proxy/sandbox/modules.h"
#include "proxy/sandbox/needs.h"
#include "proxy/sandbox/privileges.h"

/* Of the process. */
static struct {
    bool entered;
    struct sandbox_config config;
    struct privileges privileges;
    struct landlock landlock;
    bool filters;        /* system calls */
    bool generates_code; /* and may */
} sandbox;

/* ---- what is told ---- */

static void sandbox_tell_missing(const char *part, const struct error *error)
{
    LOG_EVENT(LOG_LEVEL_WARN, "a part of the sandbox is not in force", LOG_STRING("part", part),
              LOG_STRING("why", error->message));
}

static void sandbox_tell_off(const char *part)
{
    LOG_EVENT(LOG_LEVEL_WARN, "the configuration switches off a part of the sandbox", LOG_STRING("part", part));
}

static void sandbox_put_ports(struct line *line, const char *key, const uint16_t *ports, size_t n_ports)
{
    char text[256] = "none";
    size_t used = 0;

    for (size_t i = 0; i < n_ports && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u", i > 0 ? " " : "", ports[i]);
    line_put_text(line, key, text_of(text), SIZE_MAX);
}

static void sandbox_put_landlock(struct line *line, const struct landlock *landlock)
{
    if (landlock->abi == 0) {
        line_put_text(line, "landlock", text_of("no"), SIZE_MAX);
        return;
    }
    line_put_number(line, "landlock_abi", (uint64_t)landlock->abi);
    line_put_number(line, "places", landlock->n_grants);
    if (landlock->holds_ports) {
        sandbox_put_ports(line, "tcp_connect", landlock->needs.connect, landlock->needs.n_connect);
        sandbox_put_ports(line, "tcp_bind", landlock->needs.bind, landlock->needs.n_bind);
    }
    if (landlock->holds_signals)
        line_put_text(line, "out_of_reach", text_of(landlock->holds_abstract ? "signals, abstract sockets" : "signals"),
                      SIZE_MAX);
}

static void sandbox_tell(void)
{
    char kept[PRIVILEGES_TEXT_BYTES];
    struct log_line line;

    if (!log_begin(&line, LOG_LEVEL_INFO, "sandboxed"))
        return;
    line_put_text(&line.line, "no_new_privs", text_of(sandbox.privileges.no_new ? "yes" : "no"), SIZE_MAX);
    line_put_text(&line.line, "capabilities", text_of(privileges_format(sandbox.privileges.kept, kept)), SIZE_MAX);
    sandbox_put_landlock(&line.line, &sandbox.landlock);
    line_put_text(&line.line, "seccomp",
                  text_of(!sandbox.filters         ? "no"
                          : sandbox.generates_code ? "with JIT"
                                                   : "yes"),
                  SIZE_MAX);
    log_end(&line);
}

/* ---- entering ---- */

/* Landlock and capabilities are each thread's own. */
static void sandbox_count_threads(void)
{
    struct stat tasks;

    if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3)
        LOG_EVENT(LOG_LEVEL_WARN, "threads that were made before the sandbox are outside of it",
                  LOG_NUMBER("threads", tasks.st_nlink - 3));
}

static void sandbox_enter_privileges(const struct needs *needs)
{
    struct error error = ERROR_INIT;

    privileges_drop(needs, &sandbox.privileges);
    if (sandbox.privileges.error_number == 0)
        return;
    error_set(&error, -sandbox.privileges.error_number, "%s", strerror(sandbox.privileges.error_number));
    sandbox_tell_missing("capabilities", &error);
}

/* What this kernel's Landlock does not hold yet. */
static void sandbox_tell_younger(const struct landlock *landlock)
{
    struct error error = ERROR_INIT;

    if (landlock->abi > 0 && !landlock->holds_ports) {
        error_set(&error, -EOPNOTSUPP, "ABI %d of this kernel's Landlock does not hold TCP ports", landlock->abi);
        sandbox_tell_missing("landlock, TCP", &error);
    }
    if (landlock->abi > 0 && !landlock->holds_signals) {
        error_set(&error, -EOPNOTSUPP, "ABI %d of this kernel's Landlock does not hold signals and abstract sockets",
                  landlock->abi);
        sandbox_tell_missing("landlock, others", &error);
    }
}

/* A kernel without something is one to live with; a moment without memory or descriptors is one to start again after.
 */
static bool sandbox_is_want(int r)
{
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

static int sandbox_enter_landlock(const struct needs *needs, struct error *error)
{
    int r = sandbox.config.landlock ? landlock_enter(needs, &sandbox.landlock, error) : 0;

    if (!sandbox.config.landlock)
        sandbox_tell_off("landlock");
    else if (r == 0)
        sandbox_tell_younger(&sandbox.landlock);
    else if (!sandbox_is_want(r))
        sandbox_tell_missing("landlock", error);
    return sandbox_is_want(r) ? r : 0;
}

static int sandbox_enter_filter(const struct needs *needs, struct error *error)
{
    int r = sandbox.config.seccomp ? filter_enter(needs->patterns, error) : 0;

    if (!sandbox.config.seccomp)
        sandbox_tell_off("seccomp");
    else if (r < 0 && !sandbox_is_want(r))
        sandbox_tell_missing("seccomp", error);
    sandbox.filters = sandbox.config.seccomp && r == 0;
    sandbox.generates_code = needs->patterns;
    return sandbox_is_want(r) ? r : 0;
}

int sandbox_enter(const struct snapshot *snapshot, struct error *error)
{
    struct needs needs;
    int r;

    sandbox.config = snapshot->sandbox;
    if (needs_init(&needs, snapshot) < 0)
        return error_set(error, -ENOMEM, "no memory for the sandbox");
    sandbox.entered = true;
    sandbox_count_threads();
    if (needs.names)
        modules_load("/etc/nsswitch.conf");
    sandbox_enter_privileges(&needs);
    r = sandbox_enter_landlock(&needs, error);
    if (r == 0)
        r = sandbox_enter_filter(&needs, error);
    needs_deinit(&needs);
    if (r == 0)
        sandbox_tell();
    return r;
}

/* ---- what a reload may bring ---- */

static int sandbox_admits_privileges(const struct needs *needs, struct error *error)
{
    uint64_t given_up = sandbox.privileges.had & ~sandbox.privileges.kept;
    uint64_t wanted = privileges_needed(needs) & given_up;
    char text[PRIVILEGES_TEXT_BYTES];

    if (!wanted)
        return 0;
    return error_set(error, -EPERM, "%s would be needed, and was given up at the start",
                     privileges_format(wanted, text));
}

int sandbox_admits(const struct snapshot *snapshot, struct error *error)
{
    struct needs needs;
    int r;

    if (!sandbox.entered)
        return 0;
    if (snapshot->sandbox.landlock != sandbox.config.landlock || snapshot->sandbox.seccomp != sandbox.config.seccomp)
        return error_set(error, -EPERM, "\"sandbox\" holds from the start to the end and cannot change");
    r = needs_init(&needs, snapshot);
    if (r < 0)
        return error_set(error, r, "out of memory");
    r = sandbox_admits_privileges(&needs, error);
    if (r == 0)
        r = landlock_admits(&sandbox.landlock, &needs, error);
    needs_deinit(&needs);
    return r;
}
