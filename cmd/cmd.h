/* The command line: what verbs share. */
#ifndef PORTHOLE_CMD_CMD_H
#define PORTHOLE_CMD_CMD_H

#include <getopt.h>
#include <stdint.h>

#include "proxy/base/error.h"

#ifndef PORTHOLE_VERSION
#define PORTHOLE_VERSION "0.1.0"
#endif

/* Where the configuration is when nobody says so. */
#define CMD_DEFAULT_FILE "/etc/porthole/porthole.json"
/* The admin listener that is asked when nobody says which. */
#define CMD_DEFAULT_ADMIN "unix:/run/porthole/admin.sock"

/* What a verb returns and the process exits with. */
enum cmd_status {
    CMD_OK = 0,
    CMD_FAILED = 1,         /* at run time */
    CMD_USAGE = 2,          /* of the command line */
    CMD_CONFIGURATION = 78, /* EX_CONFIG of sysexits.h */
};

/* Options without a letter. */
enum cmd_option_id {
    CMD_OPTION_TAKEOVER = 256,
    CMD_OPTION_PRINT,
    CMD_OPTION_PATH,
    CMD_OPTION_WAIT,
    CMD_OPTION_TIMEOUT,
    CMD_OPTION_ONCE,
    CMD_OPTION_LICENSES,
    CMD_OPTION_EXPLAIN,
    CMD_OPTION_LISTENER,
    CMD_OPTION_UID,
    CMD_OPTION_GID,
    CMD_OPTION_HEADER,
    CMD_OPTION_ABOUT,
    CMD_OPTION_STRICT,
    CMD_OPTION_LIVE,
    CMD_OPTION_MEMORY,
    CMD_OPTION_BODY,
    CMD_OPTION_JSON,
    CMD_OPTION_WATCH,
    CMD_OPTION_HAR,
    CMD_OPTION_BODIES,
    CMD_OPTION_ROUTE,
    CMD_OPTION_STATUS,
    CMD_OPTION_MIN_DURATION,
    CMD_OPTION_PEER,
    CMD_OPTION_METHOD,
    CMD_OPTION_PATH_PREFIX,
    CMD_OPTION_NO_REDACT,
    CMD_OPTION_COUNT,
};

/* One option of a verb; a table ends with name NULL. */
struct cmd_option {
    int id; /* its letter, or an enum cmd_option_id */
    const char *name;
    const char *argument; /* what --help calls it; NULL when the option takes none */
    const char *sentence;
};

/* One verb. argv[0] of fn is the verb's name. */
struct cmd_verb {
    const char *name;
    int (*fn)(int argc, char **argv);
    const char *arguments; /* synopsis; "" when there are none */
    const char *summary;
    const struct cmd_option *options;
};

/* Every verb, in the order of --help, ending with name NULL. */
extern const struct cmd_verb cmd_verbs[];

#define CMD_MAX_OPTIONS 16

/* A walk over a verb's command line; on the verb's stack. */
struct cmd_args {
    const struct cmd_verb *verb; /* borrowed */
    int argc;
    char **argv;       /* borrowed; permuted: operands move to the end */
    const char *value; /* argument of the option that cmd_args_next returned, NULL when it has none */
    struct option long_options[CMD_MAX_OPTIONS + 1];
    char short_options[2 * CMD_MAX_OPTIONS + 2];
};

/* Begins a walk with the options that the table gives to the verb argv[0]. */
void cmd_args_init(struct cmd_args *args, int argc, char **argv);
/* The next option's id, 0 when there are no more, -1 after a line about a wrong one was written. */
int cmd_args_next(struct cmd_args *args) WARN_UNUSED;
/* After the options: checks that exactly n operands remain, returns them, or NULL after a line was written. */
char **cmd_args_operands(struct cmd_args *args, int n) WARN_UNUSED;
/* The same for at most one: the operand, or `otherwise` (not NULL) when there is none. NULL after a line was written.
 */
const char *cmd_args_optional(struct cmd_args *args, const char *otherwise) WARN_UNUSED;

/* After the options: the configuration file, given by -c (or NULL), as the one operand, or by nobody. NULL after a line
 * was written. */
const char *cmd_args_file(struct cmd_args *args, const char *given) WARN_UNUSED;

/* porthole's licence and those of the libraries that are linked into this program; by licenses.sh, at build time. */
extern const char cmd_licenses[];

/* Writes one line about wrong usage, with a pointer to the verb's --help, and returns CMD_USAGE. */
int cmd_usage_error(const char *verb, const char *format, ...) PRINTF_LIKE(2, 3);

/* The value of the option that cmd_args_next returned: a duration as the configuration has them, in milliseconds, at
 * most a day. CMD_OK, or CMD_USAGE after a line was written. */
int cmd_args_duration(const struct cmd_args *args, uint64_t *ret_ms) WARN_UNUSED;

/* To be called first of all: descriptors 0 to 2 are open, and process 1 ends on TERM, INT, HUP and QUIT with 128 and
 * the signal's number, as others do. 0 or a negative errno. */
int cmd_prepare_process(void) WARN_UNUSED;

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_tap(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_suggest(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
