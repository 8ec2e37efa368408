/* porthole probe: the exit status says whether a server answers well. For exec probes in images without a shell. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "proxy/base/clock.h"

#define PROBE_TIMEOUT_MS 1000
#define PROBE_PAUSE_MS 50

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
        fetch_complain("probe", probe->address, r, &error);
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
        else if (cmd_args_duration(&args, option == CMD_OPTION_WAIT ? &probe->wait_ms : &probe->timeout_ms) != CMD_OK)
            return CMD_USAGE;
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

    if (status == CMD_OK)
        status = fetch_use_libcurl(argv[0]);
    return status == CMD_OK ? probe_run(&probe) : status;
}
