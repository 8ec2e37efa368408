/* A state of a file that was read is kept for as long as its mark stays. Timestamps are coarse (a tick of the kernel,
 * two seconds on some file systems): a file that changed just before it was read may change again without another mark,
 * so such a mark is not kept, and the file is read again until it has come to rest. */
#include "proxy/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/file_read.h"

#define REST_S 3 /* that a change is past when its timestamp can be relied on */
#define SECRET_NOT_REGULAR "is no regular file"
#define PATH_SHOWN_BYTES 100

static bool secret_is_at_rest(const struct file_mark *mark)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return mark->changed.tv_sec + REST_S < now.tv_sec;
}

static void secret_forget(struct secret *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->length);
    free(secret->data);
    secret->data = NULL;
    secret->length = 0;
}

void secret_deinit(struct secret *secret)
{
    secret_forget(secret);
}

static void secret_refuse(struct secret *secret, int error_number, const char *wrong)
{
    secret_forget(secret);
    secret->error_number = error_number;
    secret->wrong = wrong;
    secret->mark = (struct file_mark){0};
}

/* NULL when all of it may stand in a field. White space alone is nothing there (RFC 9110 5.5). */
static const char *secret_check(const char *data, size_t length)
{
    bool any = false;

    if (length > SECRET_MOST_BYTES)
        return "has more than 64 KiB";
    for (size_t i = 0; i < length; i++) {
        if (((unsigned char)data[i] < 0x20 && data[i] != '\t') || data[i] == 0x7f)
            return "has a control character (a line feed is allowed at its end only)";
        any = any || (data[i] != ' ' && data[i] != '\t');
    }
    return any ? NULL : "is empty";
}

/* Takes a copy of what was read. */
static void secret_keep(struct secret *secret, const char *data, size_t length, const struct stat *status)
{
    const char *wrong;

    length -= length > 0 && data[length - 1] == '\n';
    wrong = secret_check(data, length);
    if (wrong) {
        secret_refuse(secret, 0, wrong);
        return;
    }
    secret_forget(secret);
    secret->data = strndup(data, length);
    if (!secret->data) {
        secret_refuse(secret, ENOMEM, NULL);
        return;
    }
    secret->length = length;
    secret->mark = file_mark_of(status);
    if (!secret_is_at_rest(&secret->mark))
        secret->mark = (struct file_mark){0};
}

static void secret_read(struct secret *secret, int fd)
{
    const size_t room = SECRET_MOST_BYTES + 2; /* one more than may be, behind which there is a line feed */
    struct stat status;
    char *data;
    ssize_t n;

    /* Before it is read: what changes from here on will be seen at the next look. */
    if (fstat(fd, &status) < 0) {
        secret_refuse(secret, errno, NULL);
        return;
    }
    if (!S_ISREG(status.st_mode)) {
        secret_refuse(secret, 0, SECRET_NOT_REGULAR);
        return;
    }
    data = malloc(room);
    n = data ? file_read_all(fd, data, room) : -ENOMEM;
    if (n >= 0)
        secret_keep(secret, data, (size_t)n, &status);
    else
        secret_refuse(secret, (int)-n, NULL);
    if (data)
        explicit_bzero(data, room);
    free(data);
}

static void secret_look(struct secret *secret)
{
    struct file_mark mark;
    struct stat status;
    int fd;

    if (stat(secret->path, &status) < 0) {
        secret_refuse(secret, errno, NULL);
        return;
    }
    mark = file_mark_of(&status);
    if (secret->data && file_mark_equal(&secret->mark, &mark))
        return;
    /* Opening some devices does something. */
    if (!S_ISREG(status.st_mode)) {
        secret_refuse(secret, 0, SECRET_NOT_REGULAR);
        return;
    }
    /* Something else may lie there by now: a FIFO must not block us. */
    fd = open(secret->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        secret_refuse(secret, errno, NULL);
        return;
    }
    secret_read(secret, fd);
    close(fd);
}

bool secret_get(struct secret *secret, struct instant now, struct text *ret_text)
{
    if (secret->looked_at.ns == 0 || instant_elapsed_us(secret->looked_at, now) >= SECRET_LOOK_MS * 1000) {
        secret_look(secret);
        secret->looked_at = now;
    }
    if (!secret->data)
        return false;
    *ret_text = (struct text){secret->data, secret->length};
    return true;
}

const char *secret_reason(const struct secret *secret, char *out, size_t size)
{
    size_t length = strlen(secret->path), cut = length > PATH_SHOWN_BYTES ? length - PATH_SHOWN_BYTES : 0;
    const char *why = secret->wrong ? secret->wrong : strerrordesc_np(secret->error_number);

    snprintf(out, size, "%s%s%s %s", cut > 0 ? "..." : "", secret->path + cut, secret->wrong ? "" : ":",
             why ? why : "cannot be read");
    return out;
}
