/* porthole check: everything that is wrong with a configuration file. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/live.h"
#include "cmd/memory.h"
#include "config/load.h"
#include "config/owner.h"

/* What the command line asks for. */
struct check {
    const char *file; /* borrowed from argv */
    bool print, live, memory;
    bool strict;            /* warnings are errors */
    struct explain_ask ask; /* its line is NULL: nothing is to be explained */
};

/* Of a file in which nothing is wrong. */
static int check_tell(const struct check *check, const struct snapshot *snapshot, int *ret_error)
{
    if (check->ask.line)
        return explain(snapshot, &check->ask);
    if (check->live)
        return live(snapshot);
    if (check->memory)
        memory_print(snapshot, check->file);
    else if (check->print)
        *ret_error = config_print(snapshot, stdout);
    else
        printf("%s: ok\n", check->file);
    return CMD_OK;
}

static int check_file(const struct check *check)
{
    const char *file = check->file;

    _cleanup_(problems_deinit) struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    int status = CMD_OK;
    int r = config_load(file, &snapshot, &problems);

    problems_print(&problems, file, r > 0 || check->strict ? "" : "warning: ", stderr);
    if (r > 0 || (r == 0 && check->strict && problems.n_items > 0)) {
        snapshot_unref(snapshot);
        return CMD_CONFIGURATION;
    }
    if (r == 0)
        status = check_tell(check, snapshot, &r);
    snapshot_unref(snapshot);
    if (r < 0) {
        fprintf(stderr, "porthole check: %s\n", strerror(-r));
        return CMD_FAILED;
    }
    return status;
}

/* An id as --uid and --gid have it. */
static bool check_read_id(const char *text, enum owner_kind kind, uint32_t *ret_id)
{
    struct error error = ERROR_INIT;

    if (owner_find(text, kind, owner_file(kind), ret_id, &error) == 0)
        return true;
    cmd_usage_error("check", "%s", error.message);
    return false;
}

static bool check_add(const char **list, size_t *n, size_t most, const char *text)
{
    if (*n == most) {
        cmd_usage_error("check", "'%s' is one too many; at most %zu are", text, most);
        return false;
    }
    list[(*n)++] = text;
    return true;
}

static bool check_read_gid(struct explain_ask *ask, const char *text)
{
    uint32_t gid = 0;

    if (ask->n_gids == EXPLAIN_MOST_GROUPS || !check_read_id(text, OWNER_GROUP, &gid))
        return false;
    ask->gids[ask->n_gids++] = gid;
    return true;
}

/* False after a line was written. */
static bool check_read_option(struct check *check, int option, const char *value)
{
    struct explain_ask *ask = &check->ask;

    switch (option) {
    case 'c':
        check->file = value;
        return true;
    case CMD_OPTION_HEADER:
        return check_add(ask->fields, &ask->n_fields, EXPLAIN_MOST_FIELDS, value);
    case CMD_OPTION_BODY:
        ask->body = value;
        return true;
    case CMD_OPTION_PRINT:
        check->print = true;
        return true;
    case CMD_OPTION_LIVE:
        check->live = true;
        return true;
    case CMD_OPTION_MEMORY:
        check->memory = true;
        return true;
    case CMD_OPTION_STRICT:
        check->strict = true;
        return true;
    case CMD_OPTION_EXPLAIN:
        ask->line = value;
        return true;
    case CMD_OPTION_LISTENER:
        ask->listener = value;
        return true;
    case CMD_OPTION_UID:
        return check_read_id(value, OWNER_USER, &ask->uid);
    case CMD_OPTION_GID:
        return check_read_gid(ask, value);
    default:
        return false;
    }
}

int cmd_check(int argc, char **argv)
{
    struct check check = {.ask = {.uid = geteuid()}};
    struct cmd_args args;
    int option;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0)
        if (option < 0 || !check_read_option(&check, option, args.value))
            return CMD_USAGE;
    if (check.ask.n_gids == 0)
        check.ask.gids[check.ask.n_gids++] = getegid();
    check.file = cmd_args_file(&args, check.file);
    return check.file ? check_file(&check) : CMD_USAGE;
}
