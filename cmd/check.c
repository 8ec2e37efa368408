/* porthole check: everything that is wrong with a configuration file. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/load.h"

static int check_file(const char *file, bool print)
{
    _cleanup_(problems_deinit) struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    int r = config_load(file, &snapshot, &problems);

    if (r > 0) {
        problems_print(&problems, file, stderr);
        return CMD_CONFIGURATION;
    }
    if (r == 0 && print)
        r = config_print(snapshot, stdout);
    else if (r == 0)
        printf("%s: ok\n", file);
    snapshot_unref(snapshot);
    if (r < 0) {
        fprintf(stderr, "porthole check: %s\n", strerror(-r));
        return CMD_FAILED;
    }
    return CMD_OK;
}

int cmd_check(int argc, char **argv)
{
    struct cmd_args args;
    const char *file = NULL;
    bool print = false;
    int option;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        if (option == 'c')
            file = args.value;
        else if (option == CMD_OPTION_PRINT)
            print = true;
    }
    if (!cmd_args_operands(&args, 0))
        return CMD_USAGE;
    if (!file)
        return cmd_usage_error(argv[0], "which file? -c FILE is missing");
    return check_file(file, print);
}
