/* What has to be true of the process before a verb runs, whoever started it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cmd/cmd.h"

/* Descriptors are given out lowest first. With one of the first three closed, a socket or file would get its number,
 * and every line for standard output or error would go there. */
static int process_fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int opened;

        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        opened = open("/dev/null", O_RDWR);
        if (opened < 0) /* a root without devices: writing fails, which harms nobody */
            opened = open("/", O_RDONLY | O_DIRECTORY);
        if (opened != fd)
            return -EBADF;
    }
    return 0;
}

static void process_on_signal(int number)
{
    _exit(128 + number);
}

/* The kernel keeps signals from process 1 of a container unless it asks for them. Where a verb waits for signals
 * itself, this is what happens before and after. */
static void process_take_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

    if (getpid() != 1)
        return;
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        struct sigaction old;

        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            signal(numbers[i], process_on_signal);
    }
}

int cmd_prepare_process(void)
{
    process_take_signals();
    return process_fill_standard_descriptors();
}
