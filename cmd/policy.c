/* porthole policy: the configurations of config/examples, which are built in, to begin from. Words about them go to
 * standard error, so that standard output is a configuration. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "proxy/base/words.h"

#define POLICY_WIDTH 27

struct policy {
    const char *name;
    const char *text; /* the file */
    const char *passes;
    const char *open; /* what it does not protect from */
};

/* Their texts, by policies.sh, at build time. */
#define POLICY(id, name, passes, open) extern const char policy_text_##id[];
#include "cmd/policies.def"
#undef POLICY

static const struct policy policies[] = {
#define POLICY(id, name, passes, open) {name, policy_text_##id, passes, open},
#include "cmd/policies.def"
#undef POLICY
};

#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

static void policy_list(void)
{
    for (size_t i = 0; i < N_POLICIES; i++)
        printf("%-*s %s\n", POLICY_WIDTH, policies[i].name, policies[i].passes);
}

static const struct policy *policy_find(const char *name)
{
    const char *names[N_POLICIES + 1] = {NULL};
    const char *nearest;

    for (size_t i = 0; i < N_POLICIES; i++) {
        if (strcmp(policies[i].name, name) == 0)
            return &policies[i];
        names[i] = policies[i].name;
    }
    nearest = words_nearest(name, names);
    cmd_usage_error("policy", "there is no '%s'%s%s%s", name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                    nearest ? "'?" : "");
    return NULL;
}

static int policy_print(const char *name, bool about)
{
    const struct policy *policy = policy_find(name);

    if (!policy)
        return CMD_USAGE;
    if (!about)
        fputs(policy->text, stdout);
    fprintf(about ? stdout : stderr, "%s lets through: %s\nit does not protect from: %s\n", policy->name,
            policy->passes, policy->open);
    return CMD_OK;
}

int cmd_policy(int argc, char **argv)
{
    struct cmd_args args;
    bool about = false;
    int option, status = CMD_OK;
    char **operands;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        about = true;
    }
    operands = cmd_args_operands(&args, about || optind < argc ? 1 : 0);
    if (!operands)
        return CMD_USAGE;
    if (optind < argc)
        status = policy_print(operands[0], about);
    else
        policy_list();
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("porthole policy: standard output");
    return CMD_FAILED;
}
