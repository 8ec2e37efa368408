/* porthole of which each worker begins by trying what nobody who has got hold of it should be able to do. The Makefile
 * links this in front of what a worker's thread calls first (--wrap). Each try is a line on standard error, with the
 * name of the error or "done":
 *
 *   captive: read a file outside: EACCES
 *
 * $CAPTIVE is a directory outside of the sandbox with a file "secret"; $CAPTIVE_PORT a TCP port, $CAPTIVE_ABSTRACT the
 * name of an abstract socket, both served by others. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/loop.h"

void __real_loop_before_timers(struct loop *loop, void (*fn)(void *), void *closure);
void __wrap_loop_before_timers(struct loop *loop, void (*fn)(void *), void *closure);

static const char *variable(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): nobody changes it

    return value ? value : "";
}

static char *path_in(const char *name)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s/%s", variable("CAPTIVE"), name);
    return path;
}

/* What a call returned that gives a descriptor. */
static int closed(int fd)
{
    if (fd >= 0)
        close(fd);
    return fd;
}

static int read_file(void)
{
    return closed(open(path_in("secret"), O_RDONLY | O_CLOEXEC));
}

static int write_file(void)
{
    return closed(open(path_in("secret"), O_WRONLY | O_CLOEXEC));
}

static int list_directory(void)
{
    return closed(open(path_in(""), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int make_file(void)
{
    return closed(open(path_in("made"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int make_directory(void)
{
    return mkdir(path_in("made.d"), 0700);
}

static int remove_file(void)
{
    return unlink(path_in("secret"));
}

static int read_memory(void)
{
    return closed(open("/proc/1/environ", O_RDONLY | O_CLOEXEC));
}

static int connect_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(variable("CAPTIVE_PORT"))),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = connect(fd, (struct sockaddr *)&address, sizeof(address)), saved = errno;

    close(fd);
    errno = saved;
    return r;
}

static int bind_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(47811)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = bind(fd, (struct sockaddr *)&address, sizeof(address)), saved = errno;

    close(fd);
    errno = saved;
    return r;
}

static int connect_abstract(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r, saved;

    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", variable("CAPTIVE_ABSTRACT"));
    r = connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1)));
    saved = errno;
    close(fd);
    errno = saved;
    return r;
}

static int send_signal(void)
{
    return kill(getppid(), SIGWINCH);
}

static int execute(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int make_process(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    return child;
}

static int trace(void)
{
    return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int run_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? -1 : munmap(memory, 4096);
}

static int make_memory_run(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = mprotect(memory, 4096, PROT_READ | PROT_EXEC), saved = errno;

    munmap(memory, 4096);
    errno = saved;
    return r;
}

static int open_packet_socket(void)
{
    return closed(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int make_ring(void)
{
    char parameters[256] = {0};

    return closed((int)syscall(SYS_io_uring_setup, 1, parameters));
}

static int call_what_is_not_there(void)
{
    return (int)syscall(1000);
}

static int become_another(void)
{
    return setuid(65534);
}

static int give_away(void)
{
    return chown(path_in("secret"), 65534, 65534);
}

static int mount_something(void)
{
    return (int)syscall(SYS_mount, "none", path_in(""), "tmpfs", 0, "");
}

static const struct {
    const char *what;
    int (*fn)(void);
} tries[] = {
    {"read a file outside", read_file},
    {"write a file outside", write_file},
    {"list a directory outside", list_directory},
    {"make a file outside", make_file},
    {"make a directory outside", make_directory},
    {"remove a file outside", remove_file},
    {"read another process", read_memory},
    {"connect to another port", connect_port},
    {"listen on another port", bind_port},
    {"connect to an abstract socket", connect_abstract},
    {"send a signal", send_signal},
    {"execute a program", execute},
    {"give a file away", give_away},
    {"mount something", mount_something},
    {"make a process", make_process},
    {"trace a process", trace},
    {"run generated code", run_memory},
    {"make memory run", make_memory_run},
    {"open a packet socket", open_packet_socket},
    {"make a ring", make_ring},
    {"call what is not there", call_what_is_not_there},
    {"become another user", become_another},
};

void __wrap_loop_before_timers(struct loop *loop, void (*fn)(void *), void *closure)
{
    for (size_t i = 0; i < ARRAY_LENGTH(tries); i++) {
        errno = 0;
        fprintf(stderr, "captive: %s: %s\n", tries[i].what, tries[i].fn() < 0 ? strerrorname_np(errno) : "done");
    }
    __real_loop_before_timers(loop, fn, closure);
}
