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
    const char *file;  /* borrowed from argv */
    int what;          /* CMD_OPTION_PRINT, _LIVE, _MEMORY or _EXPLAIN; 0: just whether something is wrong */
    bool strict;       /* warnings are errors */
    bool is_described; /* there is an option that describes a request to explain */
    struct explain_ask ask;
};

/* Of a file in which nothing is wrong. */
static int check_tell(const struct check *check, const struct snapshot *snapshot, int *ret_error)
{
    switch (check->what) {
    case CMD_OPTION_EXPLAIN:
        return explain(snapshot, &check->ask);
    case CMD_OPTION_LIVE:
        return live(snapshot);
    case CMD_OPTION_MEMORY:
        memory_print(snapshot, check->file);
        break;
    case CMD_OPTION_PRINT:
        *ret_error = config_print(snapshot, stdout);
        break;
    default:
        printf("%s: ok\n", check->file);
    }
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

static bool check_refuse_more(const char *text, size_t most)
{
    cmd_usage_error("check", "'%s' is one too many; at most %zu are", text, most);
    return false;
}

static bool check_add(const char **list, size_t *n, size_t most, const char *text)
{
    if (*n == most)
        return check_refuse_more(text, most);
    list[(*n)++] = text;
    return true;
}

static bool check_read_gid(struct explain_ask *ask, const char *text)
{
    uint32_t gid = 0;

    if (ask->n_gids == EXPLAIN_MOST_GROUPS)
        return check_refuse_more(text, EXPLAIN_MOST_GROUPS);
    if (!check_read_id(text, OWNER_GROUP, &gid))
        return false;
    ask->gids[ask->n_gids++] = gid;
    return true;
}

static bool check_choose(struct check *check, int what)
{
    if (check->what != 0 && check->what != what) {
        cmd_usage_error("check", "--print, --live, --memory and --explain are questions of their own: ask one");
        return false;
    }
    check->what = what;
    return true;
}

/* Of the request that is to be explained. */
static bool check_describe(struct check *check, int option, const char *value)
{
    struct explain_ask *ask = &check->ask;

    check->is_described = true;
    switch (option) {
    case CMD_OPTION_HEADER:
        return check_add(ask->fields, &ask->n_fields, EXPLAIN_MOST_FIELDS, value);
    case CMD_OPTION_BODY:
        ask->body = value;
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

/* False after a line was written. */
static bool check_read_option(struct check *check, int option, const char *value)
{
    switch (option) {
    case 'c':
        check->file = value;
        return true;
    case CMD_OPTION_STRICT:
        check->strict = true;
        return true;
    case CMD_OPTION_EXPLAIN:
        check->ask.line = value;
        return check_choose(check, option);
    case CMD_OPTION_PRINT:
    case CMD_OPTION_LIVE:
    case CMD_OPTION_MEMORY:
        return check_choose(check, option);
    default:
        return check_describe(check, option, value);
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
    if (check.is_described && !check.ask.line)
        return cmd_usage_error("check", "there is a description of a request, but no --explain 'GET /path'");
    if (check.ask.n_gids == 0)
        check.ask.gids[check.ask.n_gids++] = getegid();
    check.file = cmd_args_file(&args, check.file);
    return check.file ? check_file(&check) : CMD_USAGE;
}
