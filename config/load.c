#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/expand.h"
#include "config/json_memory.h"
#include "config/keys.h"
#include "config/problem.h"
#include "config/read.h"
#include "config/review.h"
#include "config/syntax.h"
#include "proxy/base/file_read.h"

/* As many as addresses inside routes and streams could become targets. */
static size_t load_count_inline(const json_t *listeners)
{
    const json_t *listener;
    size_t i, n = 0;

    /* One for the stream, also where there is none, and one for those that only observe. */
    json_array_foreach(listeners, i, listener) n += json_array_size(json_object_get(listener, "routes")) + 2;
    return n;
}

static void load_read_document(struct reader *reader, const json_t *tree)
{
    size_t n_inline_max = load_count_inline(json_object_get(tree, "listeners"));

    if (keys_set_defaults(keys_document, reader->snapshot) < 0)
        reader->failure = -ENOMEM;
    read_reserve_targets(reader, json_object_get(tree, "targets"), n_inline_max);
    if (!reader->failure)
        read_section(reader, NULL, tree, keys_document, reader->snapshot);
}

static struct snapshot *load_new_snapshot(const char *source)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return NULL;
    atomic_init(&snapshot->references, 1);
    snapshot->source = strdup(source);
    return snapshot->source ? snapshot : snapshot_unref(snapshot);
}

/* Takes over *tree, which it changes. */
static int load_read(struct reader *reader, json_t **tree, const char *source)
{
    reader->snapshot = load_new_snapshot(source);
    reader->broken = json_string("");
    reader->targets_by_name = json_object();
    if (!reader->snapshot || !reader->broken || !reader->targets_by_name)
        return -ENOMEM;
    expand_tree(reader, tree);
    if (!reader->failure)
        load_read_document(reader, *tree);
    return reader->failure;
}

static void load_free_pointers(struct reader *reader)
{
    for (size_t i = 0; reader->target_pointers && i < reader->snapshot->n_targets; i++)
        free(reader->target_pointers[i]);
    free(reader->target_pointers);
}

int config_parse(const char *text, size_t length, const char *source, struct snapshot **ret_snapshot,
                 struct problems *problems)
{
    struct reader reader = {.text = text, .length = length, .problems = problems};
    json_t *tree = NULL;
    int r;

    sha256_hex(text, length, problems->sha256);
    r = syntax_parse(text, length, &tree, problems);
    if (r != 0)
        return r;
    r = load_read(&reader, &tree, source);
    if (json_memory_has_failed())
        r = -ENOMEM;
    load_free_pointers(&reader);
    expand_free(&reader);
    json_decref(tree);
    json_decref((json_t *)(uintptr_t)reader.broken);
    json_decref(reader.targets_by_name);
    if (r == 0 && problems->n_items > 0) {
        problems_sort(problems);
        r = 1;
    }
    if (r == 0)
        r = config_review(reader.snapshot, text, length, problems);
    if (r == 0) {
        written_sort(&reader.snapshot->written);
        memcpy(reader.snapshot->sha256, problems->sha256, sizeof(problems->sha256));
        *ret_snapshot = reader.snapshot;
    } else {
        snapshot_unref(reader.snapshot);
    }
    return r;
}

/* What is wrong with the file itself: a problem without a position. */
static int load_refuse(struct problems *problems, const char *what, int error)
{
    int r;

    if (error == EACCES || error == EPERM)
        r = problems_add(problems, (struct position){0, 0}, "", "%s: %s (as uid %u, gid %u)", what, strerror(error),
                         (unsigned)geteuid(), (unsigned)getegid());
    else
        r = problems_add(problems, (struct position){0, 0}, "", "%s: %s", what, strerror(error));
    return r < 0 ? r : 1;
}

/* NULL when it is a file that can be read to an end, now and again. */
static const char *load_check_kind(mode_t mode)
{
    if (S_ISREG(mode))
        return NULL;
    if (S_ISDIR(mode))
        return "is a directory";
    if (S_ISFIFO(mode))
        return "is a pipe";
    return S_ISSOCK(mode) ? "is a socket" : "is a device";
}

/* A problem of the file itself that the system has no word for. */
static int load_refuse_file(struct problems *problems, const char *what)
{
    int r = problems_add(problems, (struct position){0, 0}, "", "%s; expected a regular file of at most %zu MiB", what,
                         CONFIG_MOST_BYTES >> 20);

    return r < 0 ? r : 1;
}

static int load_read_all(int fd, struct problems *problems, char **ret_text, size_t *ret_length)
{
    char *text = malloc(CONFIG_MOST_BYTES + 1);
    ssize_t n;

    if (!text)
        return -ENOMEM;
    n = file_read_all(fd, text, CONFIG_MOST_BYTES + 1);
    if (n < 0) {
        free(text);
        return load_refuse(problems, "cannot read", (int)-n);
    }
    if ((size_t)n > CONFIG_MOST_BYTES) {
        free(text);
        return load_refuse_file(problems, "is too large");
    }
    *ret_text = text;
    *ret_length = (size_t)n;
    return 0;
}

/* Looks before it reads. */
static int load_read_file(int fd, struct problems *problems, char **ret_text, size_t *ret_length,
                          struct timespec *ret_modified)
{
    struct stat status;
    const char *wrong;

    if (fstat(fd, &status) < 0)
        return load_refuse(problems, "cannot read", errno);
    wrong = load_check_kind(status.st_mode);
    if (!wrong && status.st_size > (off_t)CONFIG_MOST_BYTES)
        wrong = "is too large";
    if (wrong)
        return load_refuse_file(problems, wrong);
    *ret_modified = status.st_mtim;
    return load_read_all(fd, problems, ret_text, ret_length);
}

int config_load(const char *file, struct snapshot **ret_snapshot, struct problems *problems)
{
    /* A FIFO without a writer must not block us. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct timespec modified = {0};
    char *text = NULL;
    size_t length = 0;
    int r;

    if (fd < 0)
        return load_refuse(problems, "cannot open", errno);
    r = load_read_file(fd, problems, &text, &length, &modified);
    close(fd);
    if (r == 0)
        r = config_parse(text, length, file, ret_snapshot, problems);
    if (r == 0)
        (*ret_snapshot)->modified = modified;
    free(text);
    return r;
}
