#include <string.h>

#include "config/problem.h"
#include "config/sections.h"

static void log_config_read_level(struct reader *reader, const struct place *at, const json_t *value,
                                  const struct key *key UNUSED, void *out)
{
    static const char expected[] = "\"error\", \"warn\", \"info\" or \"debug\"";
    const char *text = reader_text(reader, at, value, expected);

    for (size_t i = 0; text && log_level_names[i]; i++) {
        if (strcmp(text, log_level_names[i]) == 0) {
            *(enum log_level *)out = (enum log_level)i;
            return;
        }
    }
    if (text)
        reader_problem_type(reader, at, value, expected);
}

static void log_config_read_format(struct reader *reader, const struct place *at, const json_t *value,
                                   const struct key *key UNUSED, void *out)
{
    static const char expected[] = "\"plain\" or \"json\"";
    const char *text = reader_text(reader, at, value, expected);

    for (size_t i = 0; text && log_format_names[i]; i++) {
        if (strcmp(text, log_format_names[i]) == 0) {
            *(enum log_format *)out = (enum log_format)i;
            return;
        }
    }
    if (text)
        reader_problem_type(reader, at, value, expected);
}

static void log_config_read_to(struct reader *reader, const struct place *at, const json_t *value,
                               const struct key *key UNUSED, void *out)
{
    static const char expected[] = "\"stdout\", \"stderr\" or an absolute path";
    const char *text = reader_text(reader, at, value, expected);

    if (text && text[0] != '/' && strcmp(text, "stdout") != 0 && strcmp(text, "stderr") != 0)
        reader_problem_type(reader, at, value, expected);
    else if (text)
        reader_copy(reader, text, out);
}

static const struct key log_config_access_keys[] = {
    KEY("format", log_config_read_format, struct snapshot, log.access_format),
    KEY("to", log_config_read_to, struct snapshot, log.access_to),
    KEYS_END,
};

static void log_config_read_access(struct reader *reader, const struct place *at, const json_t *value,
                                   const struct key *key UNUSED, void *out)
{
    struct snapshot *snapshot = out;

    if (json_is_object(value))
        reader_object(reader, at, value, log_config_access_keys, snapshot);
    else if (!json_is_boolean(value))
        reader_problem_type(reader, at, value, "true, false or an object with \"format\" and \"to\"");
    snapshot->log.access = !json_is_false(value);
}

const struct key log_config_keys[] = {
    KEY("level", log_config_read_level, struct snapshot, log.level),
    KEY("format", log_config_read_format, struct snapshot, log.format),
    {.name = "access", .read = log_config_read_access},
    KEYS_END,
};

void log_config_defaults(struct reader *reader, struct log_config *log)
{
    log->level = LOG_LEVEL_INFO;
    log->format = LOG_FORMAT_PLAIN;
    log->access_format = LOG_FORMAT_PLAIN;
    reader_copy(reader, "stdout", &log->access_to);
}
