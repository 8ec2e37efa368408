/* porthole tap: shows exchanges as they end (GET /tap of an admin listener), as a table, as JSON lines, or as a HAR
 * file for a browser's network panel. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/har.h"
#include "cmd/tap_view.h"
#include "cmd/terminal.h"
#include "proxy/base/builder.h"

#define TAP_WIDTH 160            /* where there is no terminal */
#define TAP_LINE_MOST (4u << 20) /* longer than any that a porthole writes */
#define TAP_BODY_MOST 65536u
#define TAP_PATH_BYTES 4096
/* How often, and how soon after one another, it is asked who is there after a porthole has ended. */
#define TAP_TRIES 12
#define TAP_TRY_MS 250

/* What the command line asks for, and how far it is. */
struct tap_run {
    const char *address; /* borrowed */
    char path[TAP_PATH_BYTES];
    bool json, has_bodies;
    const char *har_path; /* borrowed; NULL: none */
    uint64_t most;        /* records, then it ends; 0: it does not */
    struct har *har;      /* owned */
    struct tap_view_style style;
    struct builder line; /* what there is of the next */
    uint64_t n_records;
    unsigned n_streams; /* that have begun: more than one when another porthole has taken over */
    bool is_enough;
    int code; /* why it ends by itself; 0: it has all that it was to have */
    struct error error;
};

static volatile sig_atomic_t tap_interrupted;

/* It may come just before a write that nobody takes: then the next one interrupts that, and a later one the next. */
static void tap_on_signal(int signal)
{
    (void)signal;
    tap_interrupted = 1;
    alarm(1);
}

/* ---- records ---- */

static void tap_look_at_terminal(struct tap_run *run)
{
    struct terminal terminal = terminal_look(TAP_WIDTH);
    const char *no_colour = getenv("NO_COLOR");

    run->style = (struct tap_view_style){.width = terminal.width,
                                         .colours = terminal.obeys && (!no_colour || *no_colour == '\0')};
}

/* porthole escapes what a terminal might obey; for who else may have answered, it is done again. */
static void tap_show_json(const struct tap_run *run, const json_t *record)
{
    bool is_ascii = true;

    for (size_t i = 0; i < run->line.length; i++)
        is_ascii = is_ascii && (unsigned char)run->line.data[i] < 0x80;
    if (is_ascii)
        fwrite(run->line.data, 1, run->line.length, stdout);
    else
        json_dumpf(record, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
}

/* False: it is enough. */
static bool tap_take_line(struct tap_run *run)
{
    json_t *record;

    if (run->line.length == 0)
        return true;
    record = json_loadb(run->line.data, run->line.length, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(record)) {
        json_decref(record);
        run->code = error_set(&run->error, -EPROTO, "what came is no record of a tap");
        return false;
    }
    if (run->har)
        run->code = har_add(run->har, record, &run->error);
    if (run->json) {
        tap_show_json(run, record);
    } else {
        tap_look_at_terminal(run);
        tap_view_row(stdout, record, &run->style);
    }
    json_decref(record);
    return run->code == 0 && (++run->n_records < run->most || run->most == 0);
}

/* Whoever reads us has gone, or we write to a full disk: then there is nobody to show anything to. A signal that ends
 * us while a reader takes nothing is no failure. */
static bool tap_has_reader(struct tap_run *run)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return !tap_interrupted;
    if (run->code == 0 && errno != EPIPE && !tap_interrupted)
        run->code = error_set(&run->error, -errno, "standard output: %s", strerror(errno));
    return false;
}

static bool tap_keep(struct tap_run *run, const char *data, size_t n)
{
    if (run->line.length + n > TAP_LINE_MOST) {
        run->code = error_set(&run->error, -EPROTO, "a line is longer than any record of a tap");
        return false;
    }
    builder_add(&run->line, data, n);
    if (run->line.failed) {
        run->code = error_set(&run->error, -ENOMEM, "out of memory");
        return false;
    }
    return true;
}

/* It listens. */
static void tap_begin(struct tap_run *run)
{
    run->line.length = 0;
    if (run->n_streams++ > 0) {
        fprintf(stderr, "porthole tap: %s: another porthole has taken over, and is listened to\n", run->address);
    } else if (!run->json) {
        tap_look_at_terminal(run);
        tap_view_head(stdout, &run->style);
    }
}

static bool tap_take(struct tap_run *run, const char *data, size_t n)
{
    while (n > 0) {
        const char *end = memchr(data, '\n', n);
        size_t piece = end ? (size_t)(end - data) : n;

        if (!tap_keep(run, data, piece))
            return false;
        if (!end)
            break;
        if (!tap_take_line(run)) {
            tap_has_reader(run);
            return false;
        }
        run->line.length = 0;
        data += piece + 1;
        n -= piece + 1;
    }
    return tap_has_reader(run);
}

static bool tap_on_data(void *closure, const char *data, size_t n)
{
    struct tap_run *run = closure;

    if (n == 0)
        tap_begin(run);
    run->is_enough = !tap_take(run, data, n);
    return !run->is_enough;
}

/* ---- asking ---- */

/* Asks who is there now, until that one ends. 0 or a negative errno with the error set. */
static int tap_listen(struct tap_run *run, struct error *error)
{
    struct fetch *client = NULL;
    int r = fetch_new(run->address, run->path, &client, error);

    if (r == 0)
        r = fetch_stream(client, tap_on_data, run, &tap_interrupted, error);
    fetch_free(client);
    if (run->code < 0)
        *error = run->error;
    return run->code < 0 ? run->code : r;
}

static bool tap_is_over(const struct tap_run *run)
{
    return run->is_enough || tap_interrupted;
}

/* A porthole has ended as it should. Whoever has taken over is at the same address already; the old one may be so for a
 * moment, too, and then refuses. 0: there is nobody, or it is over; else as tap_listen. */
static int tap_follow(struct tap_run *run, struct error *error)
{
    const struct timespec pause = {.tv_nsec = TAP_TRY_MS * 1000000L};
    unsigned tries = 0;

    while (!tap_is_over(run) && tries++ < TAP_TRIES) {
        struct error why = ERROR_INIT;
        unsigned n_before = run->n_streams;
        int r;

        nanosleep(&pause, NULL);
        r = tap_is_over(run) ? 0 : tap_listen(run, &why);
        if (run->n_streams > n_before && r < 0) {
            *error = why;
            return r;
        }
        if (run->n_streams > n_before)
            tries = 0;
        else if (r == -ENOENT || r == -ECONNREFUSED)
            break;
    }
    if (!tap_is_over(run))
        fprintf(stderr, "porthole tap: %s: the porthole has ended\n", run->address);
    return 0;
}

static int tap_ask(struct tap_run *run)
{
    struct error error = ERROR_INIT;
    int r = tap_listen(run, &error);

    if (r == -EINVAL)
        return cmd_usage_error("tap", "%s", error.message);
    if (r == 0)
        r = tap_follow(run, &error);
    if (r < 0) {
        fetch_complain("tap", run->address, r, &error);
        return CMD_FAILED;
    }
    return CMD_OK;
}

static int tap_run(struct tap_run *run)
{
    const struct sigaction action = {.sa_handler = tap_on_signal};
    struct error error = ERROR_INIT;
    int status;

    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (run->har_path && har_open(run->har_path, &run->har, &error) < 0) {
        fprintf(stderr, "porthole tap: %s\n", error.message);
        return CMD_FAILED;
    }
    status = tap_ask(run);
    har_close(run->har);
    builder_deinit(&run->line);
    return status;
}

/* ---- the command line ---- */

/* Adds to the query, escaped. False: there is no room. */
static bool tap_add(struct tap_run *run, const char *name, const char *value)
{
    static const char unescaped[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:";
    char *at = run->path + strlen(run->path), *end = run->path + sizeof(run->path);
    int n = snprintf(at, (size_t)(end - at), "%c%s=", strchr(run->path, '?') ? '&' : '?', name);

    at += n;
    for (; *value && end - at > 4; value++)
        at += snprintf(at, (size_t)(end - at), strchr(unescaped, *value) ? "%c" : "%%%02X", (unsigned char)*value);
    return *value == '\0';
}

static int tap_read_number(const char *verb, const char *value, uint64_t most, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || *ret > most)
        return cmd_usage_error(verb, "'%s' is no number from 0 to %llu", value, (unsigned long long)most);
    return CMD_OK;
}

/* Those that are a parameter of the query. NULL: it is none. */
static const char *tap_parameter(int option)
{
    switch (option) {
    case CMD_OPTION_LISTENER:
        return "listener";
    case CMD_OPTION_ROUTE:
        return "route";
    case CMD_OPTION_STATUS:
        return "status";
    case CMD_OPTION_MIN_DURATION:
        return "min_duration";
    case CMD_OPTION_PEER:
        return "peer";
    case CMD_OPTION_METHOD:
        return "method";
    case CMD_OPTION_PATH_PREFIX:
        return "path_prefix";
    case CMD_OPTION_BODIES:
        return "bodies";
    default:
        return NULL;
    }
}

/* CMD_OK or CMD_USAGE. */
static int tap_read_option(struct tap_run *run, const char *verb, int option, const char *value)
{
    const char *parameter = tap_parameter(option);
    uint64_t n;

    if (option == CMD_OPTION_BODIES && tap_read_number(verb, value, TAP_BODY_MOST, &n) != CMD_OK)
        return CMD_USAGE;
    if (option == CMD_OPTION_COUNT)
        return tap_read_number(verb, value, UINT64_MAX, &run->most);
    if (option == CMD_OPTION_JSON)
        run->json = true;
    else if (option == CMD_OPTION_HAR)
        run->har_path = value;
    else if (option == CMD_OPTION_BODIES)
        run->has_bodies = true;
    if (option == CMD_OPTION_NO_REDACT) {
        parameter = "unredacted";
        value = "1";
    }
    if (parameter && !tap_add(run, parameter, value))
        return cmd_usage_error(verb, "'%s' is too long", value);
    return CMD_OK;
}

static int tap_read_args(int argc, char **argv, struct tap_run *run)
{
    struct cmd_args args;
    int option;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0)
        if (option < 0 || tap_read_option(run, argv[0], option, args.value) != CMD_OK)
            return CMD_USAGE;
    run->address = cmd_args_optional(&args, CMD_DEFAULT_ADMIN);
    if (!run->address)
        return CMD_USAGE;
    /* An archive without heads and bodies would be none. */
    if (run->har_path && !run->has_bodies && !tap_add(run, "bodies", "65536"))
        return CMD_USAGE;
    if ((run->har_path || run->has_bodies) && !tap_add(run, "headers", "1"))
        return CMD_USAGE;
    return CMD_OK;
}

int cmd_tap(int argc, char **argv)
{
    struct tap_run run = {.path = "/tap"};
    int status = tap_read_args(argc, argv, &run);

    if (status == CMD_OK)
        status = fetch_use_libcurl(argv[0]);
    return status == CMD_OK ? tap_run(&run) : status;
}
