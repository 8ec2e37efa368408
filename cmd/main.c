/* porthole: finds the verb and runs it. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "proxy/base/words.h"

#define MAIN_MAX_VERBS 16

static void main_print_help(void)
{
    puts("porthole: a proxy that serves HTTP on Unix sockets\n\nusage: porthole VERB [OPTION...]\n\nverbs:");
    for (const struct cmd_verb *verb = cmd_verbs; verb->name; verb++)
        printf("  %-9s %s\n", verb->name, verb->summary);
    puts("\noptions:\n"
         "  -h, --help     print this, or after a verb the verb's options\n"
         "  --version      print the version\n"
         "\nexit status: 0 success, 1 failure at run time, 2 wrong usage, 78 wrong configuration");
}

static void main_print_verb_help(const struct cmd_verb *verb)
{
    printf("usage: porthole %s%s%s\n\n%s\n", verb->name, *verb->arguments ? " " : "", verb->arguments, verb->summary);
    puts("\noptions:");
    for (const struct cmd_option *option = verb->options; option->name; option++) {
        char left[64];
        char letter[8] = "";

        if (option->id < CMD_OPTION_TAKEOVER)
            snprintf(letter, sizeof(letter), "-%c, ", option->id);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
        printf("  %-19s %s\n", left, option->sentence);
    }
    printf("  %-19s %s\n", "-h, --help", "print this");
}

static bool main_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int main_unknown_verb(const char *name)
{
    const char *names[MAIN_MAX_VERBS + 3] = {"--help", "--version"};
    const char *nearest;

    for (size_t i = 0; i < MAIN_MAX_VERBS && cmd_verbs[i].name; i++)
        names[i + 2] = cmd_verbs[i].name;
    nearest = words_nearest(name, names);
    return cmd_usage_error(NULL, "unknown %s '%s'%s%s%s", *name == '-' ? "option" : "verb", name,
                           nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static int main_dispatch(int argc, char **argv)
{
    const char *name = argv[1];

    if (argc < 2)
        return cmd_usage_error(NULL, "a verb is missing");
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        main_print_help();
        return CMD_OK;
    }
    if (strcmp(name, "--version") == 0) {
        puts("porthole " PORTHOLE_VERSION);
        return CMD_OK;
    }
    for (const struct cmd_verb *verb = cmd_verbs; verb->name; verb++) {
        if (strcmp(verb->name, name) != 0)
            continue;
        if (!main_wants_help(argc - 1, argv + 1))
            return verb->fn(argc - 1, argv + 1);
        main_print_verb_help(verb);
        return CMD_OK;
    }
    return main_unknown_verb(name);
}

int main(int argc, char **argv)
{
    int status;

    if (cmd_prepare_process() < 0)
        return CMD_FAILED;
    status = main_dispatch(argc, argv);
    /* Help that went to a full disk was not given. */
    if (fflush(stdout) != 0 && status == CMD_OK) {
        perror("porthole: standard output");
        status = CMD_FAILED;
    }
    return status;
}
