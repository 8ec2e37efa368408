/* Figures of the process, as the kernel has them. What they are read from is opened before rights are given up. */
#ifndef PORTHOLE_REPORT_PROCESS_H
#define PORTHOLE_REPORT_PROCESS_H

#include <stdint.h>

/* Embedded; one thread's. */
struct process {
    int statm, descriptors; /* owned; -1: not to be had */
};

#define PROCESS_INIT                   \
    {                                  \
        .statm = -1, .descriptors = -1 \
    }

/* 0: not known. */
struct process_figures {
    uint64_t cpu_ns, resident_bytes, n_descriptors, most_descriptors;
};

/* What is not there (no /proc) is not known. */
void process_open(struct process *process);
/* Harmless twice. */
void process_close(struct process *process);
struct process_figures process_read(const struct process *process);

#endif
