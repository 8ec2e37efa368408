/* Programs for seccomp(2), made when porthole is built (generate/filter.c). */
#ifndef PORTHOLE_SANDBOX_PROGRAM_H
#define PORTHOLE_SANDBOX_PROGRAM_H

#include <linux/filter.h>
#include <stddef.h>

/* Stands for our process id, which is not known then. More than any can be. */
#define PROGRAM_OUR_PID 0x7f505249u

struct program {
    const struct sock_filter *steps;
    size_t n_steps;
};

extern const struct program program_plain, program_with_jit;

#endif
