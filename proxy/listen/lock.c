#include "proxy/listen/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/clock.h"

#define LOCK_NAME ".porthole-lock"
#define LOCK_PATIENCE_MS 2000 /* a publisher needs about a millisecond */
#define LOCK_STEP_MS 5

/* Nobody waits again before this instant: twelve listeners must not wait twelve times for one that is stuck. */
static struct instant lock_hopeless_until;

/* Nothing of somebody else's, and nothing that somebody else can open, too. */
static int lock_open(int directory_fd)
{
    int fd = openat(directory_fd, LOCK_NAME, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 0077) == 0 &&
        st.st_nlink <= 1)
        return fd;
    close(fd);
    return -1;
}

/* Whoever gives the lock back takes its file away: a lock on a file without a name keeps nobody out. */
static bool lock_is_there(int directory_fd, int fd)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && fstatat(directory_fd, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

int lock_take(int directory_fd)
{
    struct instant now = instant_now();
    struct instant deadline = instant_before(now, lock_hopeless_until) ? now : instant_add_ms(now, LOCK_PATIENCE_MS);
    struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};

    for (;;) {
        int fd = lock_open(directory_fd);

        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && lock_is_there(directory_fd, fd))
            return fd;
        close(fd);
        now = instant_now();
        if (!instant_before(now, deadline))
            break;
        nanosleep(&step, NULL);
    }
    lock_hopeless_until = instant_add_ms(now, LOCK_PATIENCE_MS);
    return -1;
}

void lock_give(int directory_fd, int lock)
{
    if (lock < 0)
        return;
    unlinkat(directory_fd, LOCK_NAME, 0);
    close(lock);
}
