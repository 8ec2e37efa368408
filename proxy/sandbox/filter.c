#include "proxy/sandbox/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxy/sandbox/program.h"

/* All threads get it. The last flag is for kernels before 5.16, which would turn off a speculation of the processor
 * for us and make each request dearer: a measure against code that somebody else has written, which is not run here. */
#define FILTER_FLAGS (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW)

static void filter_free(struct sock_filter **steps)
{
    free(*steps);
}

/* With what is known only now. */
static struct sock_filter *filter_complete(const struct program *program)
{
    struct sock_filter *steps = malloc(program->n_steps * sizeof(*steps));

    if (!steps)
        return NULL;
    memcpy(steps, program->steps, program->n_steps * sizeof(*steps));
    for (size_t i = 0; i < program->n_steps; i++)
        if (BPF_CLASS(steps[i].code) == BPF_JMP && steps[i].k == PROGRAM_OUR_PID)
            steps[i].k = (uint32_t)getpid();
    return steps;
}

int filter_enter(bool with_jit, struct error *error)
{
    const struct program *program = with_jit ? &program_with_jit : &program_plain;
    _cleanup_(filter_free) struct sock_filter *steps = filter_complete(program);
    const struct sock_fprog filter = {.len = (unsigned short)program->n_steps, .filter = steps};

    if (!steps)
        return error_set(error, -ENOMEM, "out of memory");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, FILTER_FLAGS, &filter) == 0)
        return 0;
    if (errno == ENOSYS || errno == EINVAL)
        return error_set(error, -errno, "the kernel has no filters of system calls");
    return error_set(error, -errno, "the kernel does not take the filter: %s", strerror(errno));
}
