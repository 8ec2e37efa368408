/* porthole status: what a running porthole says of itself (GET /status of an admin listener), on one screen of a
 * terminal. The exit status says whether it is ready. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/status_view.h"
#include "cmd/terminal.h"
#include "proxy/base/clock.h"

#define STATUS_TIMEOUT_MS 5000
#define STATUS_WIDTH 132 /* where there is no terminal */
#define STATUS_LEAST_WIDTH 20

/* What the command line asks for, and what is known so far. */
struct status_run {
    const char *address; /* borrowed */
    bool json;
    uint64_t watch_ms; /* 0: once */
    struct fetch *client;
    json_t *before; /* owned; the last answer */
    struct instant asked;
};

/* The body of what fetch_get wrote: behind the last head. */
static const char *status_body(const char *message)
{
    const char *end = strstr(message, "\r\n\r\n");

    return end ? end + 4 : message;
}

/* The answer, terminated and the caller's, or NULL with the error set. */
static char *status_ask(struct status_run *run, struct error *error, int *ret_code)
{
    char *message = NULL;
    size_t length = 0;
    long status = 0;
    FILE *to = open_memstream(&message, &length);

    *ret_code = to ? fetch_get(run->client, STATUS_TIMEOUT_MS, to, &status, error) : -ENOMEM;
    if (to && fclose(to) != 0 && *ret_code == 0)
        *ret_code = -ENOMEM;
    if (*ret_code == -ENOMEM)
        error_set(error, -ENOMEM, "out of memory");
    else if (*ret_code == 0 && status != 200)
        *ret_code = error_set(error, -EPROTO,
                              "GET /status is answered with %ld: is this an admin listener with this page?", status);
    if (*ret_code == 0)
        return message;
    free(message);
    return NULL;
}

static void status_show(struct status_run *run, json_t *document, struct instant now)
{
    struct terminal terminal = terminal_look(STATUS_WIDTH);
    struct status_view view = {.now = document,
                               .before = run->before,
                               .seconds = (double)instant_elapsed_us(run->asked, now) / 1e6,
                               .width = terminal.width > STATUS_LEAST_WIDTH ? terminal.width : STATUS_LEAST_WIDTH,
                               .height = terminal.height};

    if (run->watch_ms > 0 && terminal.obeys)
        fputs("\033[H\033[2J", stdout);
    else if (run->before)
        putchar('\n');
    status_view_write(&view, stdout);
}

/* One line: for programs that read what is watched. */
static void status_show_json(const json_t *document)
{
    json_dumpf(document, stdout, JSON_COMPACT | JSON_ENSURE_ASCII); /* nothing that a terminal obeys */
    putchar('\n');
}

/* CMD_OK when it is ready. */
static int status_once(struct status_run *run)
{
    struct error error = ERROR_INIT;
    struct instant now = instant_now();
    int code = 0, status;
    char *message = status_ask(run, &error, &code);
    json_t *document = message ? json_loads(status_body(message), JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (message && !json_is_object(document))
        code = error_set(&error, -EPROTO, "the answer is no status");
    free(message);
    if (code < 0) {
        fetch_complain("status", run->address, code, &error);
        json_decref(document);
        return CMD_FAILED;
    }
    if (run->json)
        status_show_json(document);
    else
        status_show(run, document, now);
    status = json_is_true(json_object_get(document, "ready")) ? CMD_OK : CMD_FAILED;
    json_decref(run->before);
    run->before = document;
    run->asked = now;
    return status;
}

static int status_run(struct status_run *run)
{
    const struct timespec pause = {.tv_sec = (time_t)(run->watch_ms / 1000),
                                   .tv_nsec = (long)(run->watch_ms % 1000 * 1000000)};
    struct error error = ERROR_INIT;
    int r = fetch_new(run->address, "/status", &run->client, &error), status;

    if (r == -EINVAL)
        return cmd_usage_error("status", "%s", error.message);
    if (r < 0) {
        fetch_complain("status", run->address, r, &error);
        return CMD_FAILED;
    }
    do {
        status = status_once(run);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            perror("porthole status: standard output");
            status = CMD_FAILED;
            break;
        }
    } while (run->watch_ms > 0 && nanosleep(&pause, NULL) == 0);
    json_decref(run->before);
    fetch_free(run->client);
    return status;
}

/* Reads the command line; CMD_OK or CMD_USAGE. */
static int status_read_args(int argc, char **argv, struct status_run *run)
{
    struct cmd_args args;
    int option;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        if (option == CMD_OPTION_JSON)
            run->json = true;
        else if (cmd_args_duration(&args, &run->watch_ms) != CMD_OK)
            return CMD_USAGE;
        else if (run->watch_ms == 0)
            return cmd_usage_error(argv[0], "a pause of 0 between two questions is none");
    }
    run->address = cmd_args_optional(&args, CMD_DEFAULT_ADMIN);
    return run->address ? CMD_OK : CMD_USAGE;
}

int cmd_status(int argc, char **argv)
{
    struct status_run run = {.address = NULL};
    int status = status_read_args(argc, argv, &run);

    if (status == CMD_OK)
        status = fetch_use_libcurl(argv[0]);
    return status == CMD_OK ? status_run(&run) : status;
}
