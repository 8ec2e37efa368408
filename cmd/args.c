/* Reading a verb's command line, and saying what is wrong with it. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/value.h"
#include "proxy/base/words.h"

#define ARGS_LONGEST_NAME 32
#define ARGS_LONGEST_DURATION_MS (24u * 3600u * 1000u)

int cmd_usage_error(const char *verb, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "porthole%s%s: ", verb ? " " : "", verb ? verb : "");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (see porthole%s%s --help)\n", verb ? " " : "", verb ? verb : "");
    return CMD_USAGE;
}

static const struct cmd_verb *args_find_verb(const char *name)
{
    const struct cmd_verb *verb = cmd_verbs;

    while (strcmp(verb->name, name) != 0)
        verb++;
    return verb;
}

void cmd_args_init(struct cmd_args *args, int argc, char **argv)
{
    size_t n = 0;
    char *letter;

    *args = (struct cmd_args){.verb = args_find_verb(argv[0]), .argc = argc, .argv = argv};
    letter = stpcpy(args->short_options, ":");
    for (const struct cmd_option *option = args->verb->options; option->name && n < CMD_MAX_OPTIONS; option++, n++) {
        args->long_options[n] = (struct option){option->name, option->argument ? 1 : 0, NULL, option->id};
        if (option->id >= CMD_OPTION_TAKEOVER)
            continue;
        *letter++ = (char)option->id;
        if (option->argument)
            *letter++ = ':';
    }
    *letter = '\0';
    opterr = 0;
    optind = 0; /* so that getopt forgets an earlier walk */
}

/* What getopt returned ':' or '?' for: a letter, or the long option before optind. */
static void args_complain(const struct cmd_args *args, int r)
{
    const char *verb = args->verb->name;
    const char *typed = args->argv[optind - 1];
    const char *names[CMD_MAX_OPTIONS + 1] = {NULL};
    char name[ARGS_LONGEST_NAME + 1];
    const char *nearest;

    if (r == ':') {
        cmd_usage_error(verb, "%s needs an argument", typed);
        return;
    }
    if (optopt != 0 && optopt < CMD_OPTION_TAKEOVER && strncmp(typed, "--", 2) != 0) {
        cmd_usage_error(verb, "unknown option '-%c'", optopt);
        return;
    }
    if (optopt != 0) {
        cmd_usage_error(verb, "%.*s takes no argument", (int)strcspn(typed, "="), typed);
        return;
    }
    for (size_t i = 0; i < CMD_MAX_OPTIONS && args->verb->options[i].name; i++)
        names[i] = args->verb->options[i].name;
    typed += strspn(typed, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(typed, "="), typed);
    nearest = words_nearest(name, names);
    cmd_usage_error(verb, "unknown option '--%s'%s%s%s", name, nearest ? "; did you mean '--" : "",
                    nearest ? nearest : "", nearest ? "'?" : "");
}

int cmd_args_next(struct cmd_args *args)
{
    int r = getopt_long(args->argc, args->argv, args->short_options, args->long_options, NULL);

    args->value = optarg;
    if (r == -1)
        return 0;
    if (r != ':' && r != '?')
        return r;
    args_complain(args, r);
    return -1;
}

char **cmd_args_operands(struct cmd_args *args, int n)
{
    int given = args->argc - optind;

    if (given == n)
        return args->argv + optind;
    if (given > n)
        cmd_usage_error(args->verb->name, "'%s' is one argument too many", args->argv[optind + n]);
    else
        cmd_usage_error(args->verb->name, "an argument is missing: porthole %s %s", args->verb->name,
                        args->verb->arguments);
    return NULL;
}

const char *cmd_args_optional(struct cmd_args *args, const char *otherwise)
{
    bool is_given = optind < args->argc;
    char **operands = cmd_args_operands(args, is_given ? 1 : 0);

    if (!operands)
        return NULL;
    return is_given ? operands[0] : otherwise;
}

const char *cmd_args_file(struct cmd_args *args, const char *given)
{
    if (!given)
        return cmd_args_optional(args, CMD_DEFAULT_FILE);
    return cmd_args_operands(args, 0) ? given : NULL;
}

int cmd_args_duration(const struct cmd_args *args, uint64_t *ret_ms)
{
    uint64_t ms;

    if (value_parse(args->value, UNIT_MS, &ms) != VALUE_OK || ms > ARGS_LONGEST_DURATION_MS)
        return cmd_usage_error(args->verb->name, "'%s' is no duration like 250ms, 5s or 1m, or longer than a day",
                               args->value);
    *ret_ms = ms;
    return CMD_OK;
}
