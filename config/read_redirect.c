/* Redirects, rewrites, and responses whose body is in a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/read.h"
#include "proxy/base/file_read.h"
#include "proxy/base/words.h"
#include "proxy/http/location.h"

#define CONTENT_MOST_BYTES ((size_t)1 << 20)

/* ---- redirects ---- */

void read_location(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section)
{
    struct template *location =
        read_template(reader, at, value, LOCATION_KINDS, "a path such as \"/new${request.path}\", or a URL");
    const char *wrong = location ? location_check(location) : NULL;

    *(struct template **)key_field(key, section) = location;
    ((struct route_config *)section)->redirect.secret = location && read_is_secret(reader, value, location);
    if (wrong)
        reader_problem(reader, at, "\"%s\" %s", WORDS_SHOW(json_string_value(value)), wrong);
}

void read_redirect(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section)
{
    const struct place status = {at, "status", 0};
    struct route_config *route = section;

    route->action = ROUTE_REDIRECT;
    read_inner(reader, at, value, key, section);
    /* RFC 9110 15.4: the others are no redirects to a Location, or are no longer used. */
    if (route->redirect.status >= 304 && route->redirect.status <= 306)
        reader_problem(reader, &status, "%u is no redirect; expected 301, 302, 303, 307 or 308",
                       route->redirect.status);
}

/* ---- rewrites ---- */

void read_rewrite_to(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                     void *section)
{
    read_text(reader, at, value, key, section);
}

static void read_check_rewrite(struct reader *reader, const struct place *at, const json_t *value,
                               const struct rewrite *rewrite)
{
    bool prefixes = json_object_get(value, "strip_prefix") || json_object_get(value, "add_prefix");
    bool regex = json_object_get(value, "regex"), to = json_object_get(value, "to");
    const struct place place = {at, "to", 0};
    const char *wrong;
    size_t where;

    if (json_is_object(value) && (prefixes == (regex || to) || regex != to))
        reader_problem(reader, at, "expected \"strip_prefix\", \"add_prefix\" or both, or \"regex\" and \"to\"");
    if (!rewrite->regex || !rewrite->to)
        return;
    wrong = rewrite_check_to(rewrite->to, pattern_groups(rewrite->regex), &where);
    if (wrong)
        reader_problem(reader, &place, "\"%s\" has %s (byte %zu)", WORDS_SHOW(rewrite->to), wrong, where + 1);
}

void read_rewrite(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                  void *section)
{
    struct route_config *route = section;

    read_inner(reader, at, value, key, section);
    if (reader->failure)
        return;
    read_check_rewrite(reader, at, value, &route->rewrite);
}

/* ---- bodies in files ---- */

void read_content_file(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                       void *section)
{
    const char *path = reader_text(reader, at, value, "an absolute path");

    if (path && path[0] != '/')
        reader_problem_type(reader, at, value, "an absolute path");
    else if (path)
        reader_copy(reader, path, key_field(key, section));
}

/* NULL when it is a file that can be a body. */
static const char *read_check_content(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "is no regular file";
    return NULL;
}

static void read_content_of(struct reader *reader, const struct place *at, int fd, struct route_answer *answer)
{
    const char *wrong = read_check_content(fd);
    ssize_t n;

    if (wrong) {
        reader_problem(reader, at, "%s: %s", WORDS_SHOW(answer->file), wrong);
        return;
    }
    answer->content = reader_memory(reader, malloc(CONTENT_MOST_BYTES + 1));
    if (!answer->content)
        return;
    n = file_read_all(fd, answer->content, CONTENT_MOST_BYTES + 1);
    if (n < 0)
        reader_problem(reader, at, "cannot read %s: %s", WORDS_SHOW(answer->file), strerror((int)-n));
    else if ((size_t)n > CONTENT_MOST_BYTES)
        reader_problem(reader, at, "%s has more than %zu MiB", WORDS_SHOW(answer->file), CONTENT_MOST_BYTES >> 20);
    else
        answer->body_length = (size_t)n;
}

void read_content(struct reader *reader, const struct place *at, struct route_answer *answer)
{
    const struct place file = {at, "file", 0};
    char *exact;
    int fd;

    /* A FIFO without a writer must not block us. */
    fd = open(answer->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        reader_miss_file(reader, &file, answer->file);
        return;
    }
    read_content_of(reader, &file, fd, answer);
    close(fd);
    exact = answer->content ? realloc(answer->content, answer->body_length + 1) : NULL;
    if (exact)
        answer->content = exact;
}
