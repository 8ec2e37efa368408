/* Preloaded into a porthole: one call of a kind fails, the one whose number the test says, or all from that one on.
 *
 * The test and the program share the file that FAULTS names (struct faults). Calls are counted while `kind` is not 0,
 * from main() on at the earliest, for what happens before that is the dynamic linker's and the libraries' own; so a
 * test may have the file ready before a start, or set `kind` in the middle of a life. Which call it was that failed is
 * written into the file, with those who called. A call that fails does nothing. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define FAULTS_TEXT 4064
#define FAULTS_MOST_FRAMES 24
#define ARENA_BYTES 65536 /* for what dlsym wants before the real malloc is known */
#define EXPORT __attribute__((visibility("default")))

enum faults_kind { FAULTS_NONE, FAULTS_MEMORY, FAULTS_DESCRIPTORS, FAULTS_THREADS };
enum faults_who { FAULTS_ALL, FAULTS_MAIN_THREAD, FAULTS_OTHER_THREADS };

/* As test_faults.py has it; the numbers are of 32 bits. */
struct faults {
    atomic_uint kind;     /* enum faults_kind */
    atomic_uint who;      /* enum faults_who */
    atomic_uint nth;      /* from 1 */
    atomic_uint all_from; /* whether all from the nth on fail */
    atomic_uint n_calls;  /* of that kind, so far */
    atomic_uint n_failed;
    atomic_uint unused[2];
    char text[FAULTS_TEXT];
};

static struct faults *faults; /* NULL: there is none */
static atomic_bool faults_begun;

/* Who called, as file+offset, for addr2line. */
static void faults_tell(const char *name, unsigned n)
{
    void *frames[FAULTS_MOST_FRAMES];
    int n_frames = backtrace(frames, FAULTS_MOST_FRAMES);
    size_t used = (size_t)snprintf(faults->text, FAULTS_TEXT, "%s number %u", name, n);

    for (int i = 2; i < n_frames && used < FAULTS_TEXT - 1; i++) {
        Dl_info info;

        if (dladdr(frames[i], &info) && info.dli_fname)
            used += (size_t)snprintf(faults->text + used, FAULTS_TEXT - used, "\n%s+0x%zx", info.dli_fname,
                                     (size_t)((char *)frames[i] - (char *)info.dli_fbase - 1));
    }
}

static bool faults_concerns(unsigned who)
{
    bool is_main = gettid() == getpid();

    return who == FAULTS_ALL || (who == FAULTS_MAIN_THREAD) == is_main;
}

/* Whether this call is to fail. */
static bool faults_due(enum faults_kind kind, const char *name)
{
    static __thread bool inside;
    int saved_errno = errno;
    unsigned n;
    bool due;

    if (!atomic_load(&faults_begun) || inside || atomic_load(&faults->kind) != (unsigned)kind ||
        !faults_concerns(atomic_load(&faults->who)))
        return false;
    inside = true;
    n = atomic_fetch_add(&faults->n_calls, 1) + 1;
    due = n == atomic_load(&faults->nth) || (n > atomic_load(&faults->nth) && atomic_load(&faults->all_from));
    if (due && atomic_fetch_add(&faults->n_failed, 1) == 0)
        faults_tell(name, n);
    inside = false;
    errno = saved_errno;
    return due;
}

static void *faults_find(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* The next one of a name, found once. */
#define NEXT(name)                                   \
    __extension__({                                  \
        static __typeof__(&(name)) next_;            \
        if (!next_)                                  \
            *(void **)(&next_) = faults_find(#name); \
        next_;                                       \
    })

/* ---- memory ---- */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    bool looking;
} next;

static _Alignas(16) char arena[ARENA_BYTES];
static size_t arena_used;

static void *arena_take(size_t size)
{
    char *taken = arena + arena_used;

    size = (size + 15) & ~(size_t)15;
    if (size > ARENA_BYTES - arena_used)
        return NULL;
    arena_used += size;
    return taken;
}

static bool arena_has(const void *memory)
{
    return (const char *)memory >= arena && (const char *)memory < arena + ARENA_BYTES;
}

/* False while they are being looked for: then the arena has to do. */
static bool faults_know_memory(void)
{
    if (next.free)
        return true;
    if (next.looking)
        return false;
    next.looking = true;
    *(void **)(&next.malloc) = faults_find("malloc");
    *(void **)(&next.calloc) = faults_find("calloc");
    *(void **)(&next.realloc) = faults_find("realloc");
    *(void **)(&next.free) = faults_find("free");
    next.looking = false;
    return true;
}

static void *faults_no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

EXPORT void *malloc(size_t size)
{
    if (!faults_know_memory())
        return arena_take(size);
    return faults_due(FAULTS_MEMORY, "malloc") ? faults_no_memory() : next.malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
    if (!faults_know_memory())
        return arena_take(n * size);
    return faults_due(FAULTS_MEMORY, "calloc") ? faults_no_memory() : next.calloc(n, size);
}

EXPORT void *realloc(void *memory, size_t size)
{
    if (!faults_know_memory() || arena_has(memory))
        return arena_take(size);
    return faults_due(FAULTS_MEMORY, "realloc") ? faults_no_memory() : next.realloc(memory, size);
}

EXPORT void free(void *memory)
{
    if (!arena_has(memory) && faults_know_memory())
        next.free(memory);
}

EXPORT int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    if (faults_due(FAULTS_MEMORY, "posix_memalign"))
        return ENOMEM;
    return NEXT(posix_memalign)(ret_memory, alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return faults_due(FAULTS_MEMORY, "aligned_alloc") ? faults_no_memory() : NEXT(aligned_alloc)(alignment, size);
}

/* ---- descriptors ---- */

static int faults_no_descriptor(void)
{
    errno = EMFILE;
    return -1;
}

#define DESCRIPTOR(name, parameters, ...)                                                                \
    EXPORT int name parameters                                                                           \
    {                                                                                                    \
        return faults_due(FAULTS_DESCRIPTORS, #name) ? faults_no_descriptor() : NEXT(name)(__VA_ARGS__); \
    }

DESCRIPTOR(socket, (int domain, int type, int protocol), domain, type, protocol)
DESCRIPTOR(socketpair, (int domain, int type, int protocol, int fds[2]), domain, type, protocol, fds)
DESCRIPTOR(accept, (int fd, struct sockaddr *address, socklen_t *length), fd, address, length)
DESCRIPTOR(accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), fd, address, length, flags)
DESCRIPTOR(dup, (int fd), fd)
DESCRIPTOR(dup3, (int from, int to, int flags), from, to, flags)
DESCRIPTOR(epoll_create1, (int flags), flags)
DESCRIPTOR(inotify_init1, (int flags), flags)
DESCRIPTOR(pipe, (int fds[2]), fds)
DESCRIPTOR(pipe2, (int fds[2], int flags), fds, flags)
DESCRIPTOR(eventfd, (unsigned value, int flags), value, flags)
DESCRIPTOR(timerfd_create, (clockid_t clock, int flags), clock, flags)
DESCRIPTOR(signalfd, (int fd, const sigset_t *set, int flags), fd, set, flags)
DESCRIPTOR(memfd_create, (const char *name, unsigned flags), name, flags)

/* The mode is there or not; passing it on does no harm. */
#define OPENING(name, parameters, last, ...)       \
    EXPORT int name parameters                     \
    {                                              \
        va_list rest;                              \
        mode_t mode;                               \
                                                   \
        va_start(rest, last);                      \
        mode = va_arg(rest, mode_t);               \
        va_end(rest);                              \
        if (faults_due(FAULTS_DESCRIPTORS, #name)) \
            return faults_no_descriptor();         \
        return NEXT(name)(__VA_ARGS__);            \
    }

OPENING(open, (const char *path, int flags, ...), flags, path, flags, mode)
OPENING(open64, (const char *path, int flags, ...), flags, path, flags, mode)
OPENING(openat, (int fd, const char *path, int flags, ...), flags, fd, path, flags, mode)
OPENING(openat64, (int fd, const char *path, int flags, ...), flags, fd, path, flags, mode)

EXPORT int fcntl(int fd, int command, ...)
{
    va_list rest;
    void *argument;

    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && faults_due(FAULTS_DESCRIPTORS, "fcntl"))
        return faults_no_descriptor();
    return NEXT(fcntl)(fd, command, argument);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    if (!faults_due(FAULTS_DESCRIPTORS, "fopen"))
        return NEXT(fopen)(path, mode);
    errno = EMFILE;
    return NULL;
}

/* What the kernel does with descriptors that it is to hand over and cannot: it leaves them out, and says so. */
EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t n = NEXT(recvmsg)(fd, message, flags);
    const struct cmsghdr *control = n < 0 ? NULL : CMSG_FIRSTHDR(message);
    size_t n_fds;

    if (!control || control->cmsg_type != SCM_RIGHTS || !faults_due(FAULTS_DESCRIPTORS, "recvmsg"))
        return n;
    n_fds = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n_fds; i++) {
        int passed;

        memcpy(&passed, CMSG_DATA(control) + i * sizeof(int), sizeof(passed));
        close(passed);
    }
    message->msg_controllen = 0;
    message->msg_flags |= MSG_CTRUNC;
    return n;
}

/* ---- threads ---- */

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *closure)
{
    if (faults_due(FAULTS_THREADS, "pthread_create"))
        return EAGAIN;
    return NEXT(pthread_create)(thread, attributes, run, closure);
}

/* ---- the beginning ---- */

static int (*real_main)(int, char **, char **);

static void faults_begin(void)
{
    const char *path = getenv("FAULTS");
    int fd = path ? NEXT(open)(path, O_RDWR | O_CLOEXEC) : -1;
    void *frames[1], *memory;

    if (fd < 0)
        return;
    memory = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return;
    faults = memory;
    backtrace(frames, 1); /* loads what it needs */
    atomic_store(&faults_begun, true);
}

static int faults_main(int argc, char **argv, char **environment)
{
    int status;

    faults_begin();
    status = real_main(argc, argv, environment);
    atomic_store(&faults_begun, false); /* who looks for leaks now needs descriptors, too */
    return status;
}

typedef int faults_start(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
                         void *);

EXPORT faults_start __libc_start_main;
EXPORT int __libc_start_main(int (*run)(int, char **, char **), int argc, char **argv, void (*init)(void),
                             void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    real_main = run;
    return NEXT(__libc_start_main)(faults_main, argc, argv, init, fini, rtld_fini, stack_end);
}
