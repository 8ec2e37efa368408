/* porthole probe: the exit status says whether a server answers well. For exec probes in images without a shell. */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/permission.h"
#include "proxy/base/clock.h"

#define PROBE_TIMEOUT_MS 1000
#define PROBE_PAUSE_MS 50
#define PROBE_WHY_BYTES 512

/* What the command line asks for. */
struct probe {
    const char *address; /* borrowed from argv, as is path */
    const char *path;    /* NULL: the address's own */
    uint64_t wait_ms;    /* 0: one try */
    uint64_t timeout_ms; /* of one try */
    bool verbose;
};

/* 0 when the server answered with a good status. */
static int probe_try(struct fetch *client, uint64_t timeout_ms, long *ret_status, struct error *error)
{
    int r = fetch_get(client, timeout_ms, NULL, ret_status, error);

    if (r < 0)
        return r;
    if (*ret_status < 200 || *ret_status > 399)
        return error_set(error, -EPROTO, "the status is %ld", *ret_status);
    return 0;
}

static int probe_wait(const struct probe *probe, struct fetch *client, long *ret_status, struct error *error)
{
    const struct timespec pause = {.tv_nsec = PROBE_PAUSE_MS * 1000000L};
    struct instant now = instant_now();
    struct instant deadline = instant_add_ms(now, probe->wait_ms);
    int r;

    for (;;) {
        uint64_t left_ms = instant_elapsed_us(now, deadline) / 1000;
        uint64_t timeout_ms = probe->timeout_ms;

        /* The last try is cut at the deadline; without a wait there is only one, and it has its full time. */
        if (probe->wait_ms > 0 && left_ms < timeout_ms)
            timeout_ms = left_ms > 0 ? left_ms : 1;
        r = probe_try(client, timeout_ms, ret_status, error);
        now = instant_now();
        if (r == 0 || !instant_before(instant_add_ms(now, PROBE_PAUSE_MS), deadline))
            return r;
        nanosleep(&pause, NULL);
        now = instant_now();
    }
}

/* The reason, and for a path that may not be opened, or is not there, which part of it that is. */
static void probe_complain(const struct probe *probe, int code, const struct error *error)
{
    char why[PROBE_WHY_BYTES] = "";

    if ((code == -EACCES || code == -ENOENT) && strncmp(probe->address, "unix:/", 6) == 0)
        permission_explain(probe->address + 5, why, sizeof(why));
    else if (code == -ECONNREFUSED && strncmp(probe->address, "unix:", 5) == 0)
        snprintf(why, sizeof(why), "nobody listens there any more, its server has ended");
    fprintf(stderr, "porthole probe: %s: %s%s%s\n", probe->address, error->message, why[0] ? ": " : "", why);
}

static int probe_run(const struct probe *probe)
{
    struct error error = ERROR_INIT;
    struct fetch *client = NULL;
    long status = 0;
    int r = fetch_new(probe->address, probe->path, &client, &error);

    if (r == -EINVAL)
        return cmd_usage_error("probe", "%s", error.message);
    if (r == 0)
        r = probe_wait(probe, client, &status, &error);
    fetch_free(client);
    if (r < 0) {
        probe_complain(probe, r, &error);
        return CMD_FAILED;
    }
    if (probe->verbose)
        printf("%ld\n", status);
    return CMD_OK;
}

/* Reads the command line; CMD_OK or CMD_USAGE. */
static int probe_read_args(int argc, char **argv, struct probe *probe)
{
    struct cmd_args args;
    char **operands;
    int option;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        if (option == 'v')
            probe->verbose = true;
        else if (option == CMD_OPTION_PATH)
            probe->path = args.value;
        else if (cmd_parse_duration(args.value, option == CMD_OPTION_WAIT ? &probe->wait_ms : &probe->timeout_ms) < 0)
            return cmd_usage_error(argv[0], "'%s' is no duration like 250ms, 5s or 1m, or longer than a day",
                                   args.value);
    }
    operands = cmd_args_operands(&args, 1);
    if (!operands)
        return CMD_USAGE;
    probe->address = operands[0];
    if (probe->path && *probe->path != '/')
        return cmd_usage_error(argv[0], "the path '%s' does not begin with /", probe->path);
    if (probe->timeout_ms == 0)
        return cmd_usage_error(argv[0], "a timeout of 0 leaves no time to answer");
    return CMD_OK;
}

int cmd_probe(int argc, char **argv)
{
    struct probe probe = {.timeout_ms = PROBE_TIMEOUT_MS};
    int status = probe_read_args(argc, argv, &probe);

    if (status != CMD_OK)
        return status;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fputs("porthole probe: cannot initialise libcurl\n", stderr);
        return CMD_FAILED;
    }
    status = probe_run(&probe);
    curl_global_cleanup();
    return status;
}
