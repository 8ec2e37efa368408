/* porthole suggest: from what was seen to the routes that let it through. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/suggestion_print.h"

static const char suggest_standard_input[] = "standard input";

struct suggest {
    const char *listener; /* borrowed from argv; NULL: all */
    struct suggestion suggestion;
    uint64_t n_malformed;
    struct json_token *tokens;
    char *line;
};

static enum suggestion_verdict suggest_take(struct suggest *suggest, size_t length)
{
    struct seen seen;

    switch (seen_read((struct text){suggest->line, length}, suggest->tokens, &seen)) {
    case SEEN_MALFORMED:
        suggest->n_malformed += length > 0;
        return SUGGESTION_OK;
    case SEEN_OTHER:
        return SUGGESTION_OK;
    case SEEN_EXCHANGE:
        break;
    }
    if (suggest->listener && !text_equal(seen.listener, text_of(suggest->listener)))
        return SUGGESTION_OK;
    return suggestion_add(&suggest->suggestion, &seen);
}

/* A line that is too long is read over, and malformed. */
static enum suggestion_verdict suggest_read(struct suggest *suggest, FILE *in)
{
    enum suggestion_verdict verdict = SUGGESTION_OK;
    size_t length = 0;
    int c = 0;

    while (verdict == SUGGESTION_OK && c != EOF) {
        c = getc_unlocked(in);
        if (c != EOF && c != '\n') {
            if (length < SEEN_MOST_BYTES)
                suggest->line[length] = (char)c;
            length++;
            continue;
        }
        if (length > SEEN_MOST_BYTES)
            suggest->n_malformed++;
        else
            verdict = suggest_take(suggest, length);
        length = 0;
    }
    return verdict;
}

static int suggest_tell(struct suggest *suggest)
{
    suggestion_finish(&suggest->suggestion);
    suggestion_tell(&suggest->suggestion, stderr);
    if (suggest->n_malformed > 0)
        fprintf(stderr, "%8" PRIu64 "  lines are no JSON objects of an access log or of tap\n", suggest->n_malformed);
    if (suggest->suggestion.n_routes == 0) {
        fputs("porthole suggest: nothing was seen that went to a target\n", stderr);
        return CMD_FAILED;
    }
    suggestion_print(&suggest->suggestion, stdout);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CMD_OK;
    perror("porthole suggest: standard output");
    return CMD_FAILED;
}

static int suggest_from(struct suggest *suggest, FILE *in, const char *name)
{
    enum suggestion_verdict verdict = SUGGESTION_NO_MEMORY;
    int status = CMD_FAILED;

    suggest->line = malloc(SEEN_MOST_BYTES);
    suggest->tokens = calloc(json_tape_tokens(SEEN_MOST_BYTES), sizeof(*suggest->tokens));
    if (suggest->line && suggest->tokens)
        verdict = suggest_read(suggest, in);
    if (verdict == SUGGESTION_NO_MEMORY)
        fputs("porthole suggest: out of memory\n", stderr);
    else if (verdict == SUGGESTION_FULL)
        fprintf(stderr, "porthole suggest: more than %d routes: paths that nobody would list one by one\n",
                SUGGESTION_MOST_ROUTES);
    else if (ferror(in))
        fprintf(stderr, "porthole suggest: %s: %s\n", name, strerror(errno));
    else
        status = suggest_tell(suggest);
    suggestion_deinit(&suggest->suggestion);
    free(suggest->line);
    free(suggest->tokens);
    return status;
}

int cmd_suggest(int argc, char **argv)
{
    struct suggest suggest = {0};
    struct cmd_args args;
    const char *name;
    FILE *in = stdin;
    int option, status;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        suggest.listener = args.value;
    }
    name = cmd_args_optional(&args, suggest_standard_input);
    if (!name)
        return CMD_USAGE;
    if (name != suggest_standard_input)
        in = fopen(name, "re");
    if (!in)
        return cmd_usage_error("suggest", "%s: cannot open: %s", name, strerror(errno));
    status = suggest_from(&suggest, in, name);
    if (in != stdin)
        fclose(in);
    return status;
}
