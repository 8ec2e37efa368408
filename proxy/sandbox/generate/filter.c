/* Writes the filters of system calls as C, when porthole is built: libseccomp needs a millisecond for one, which would
 * be a tenth of a start, and is not needed when porthole runs. They are for the architecture that this runs on.
 *
 * What a filter allows is calls.def, and what depends on arguments is here. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/error.h"
#include "proxy/sandbox/program.h"

/* The Makefile's word, for the build that the filters are for. */
#ifndef FILTER_WITH_SANITIZER
#define FILTER_WITH_SANITIZER 0
#endif

/* Newer than the headers of Debian 12. */
#define FILTER_NAME_MEMORY 0x53564d41 /* PR_SET_VMA */

#define FILTER_BINARY_TREE 2 /* of SCMP_FLTATR_CTL_OPTIMIZE */
#define FILTER_REFUSE SCMP_ACT_ERRNO(EPERM)
#define FILTER_UNKNOWN SCMP_ACT_ERRNO(ENOSYS)

/* A call, with what is done about it. */
struct filter_call {
    const char *name;
    enum { FILTER_CALL_ALLOWED, FILTER_CALL_OF_SANITIZERS, FILTER_CALL_REFUSED } kind;
};

static const struct filter_call filter_calls[] = {
#define CALL(name, why) {#name, FILTER_CALL_ALLOWED},
#define CALL_OF_SANITIZERS(name, why) {#name, FILTER_CALL_OF_SANITIZERS},
#define CALL_REFUSED(name, why) {#name, FILTER_CALL_REFUSED},
#include "proxy/sandbox/calls.def"
#undef CALL
#undef CALL_OF_SANITIZERS
#undef CALL_REFUSED
};

/* A filter being made; the first failure is kept. */
struct filter {
    scmp_filter_ctx context;
    int r;
};

/* ---- rules ---- */

static bool filter_is_of_sanitizers(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(filter_calls); i++)
        if (filter_calls[i].kind == FILTER_CALL_OF_SANITIZERS && strcmp(filter_calls[i].name, name) == 0)
            return FILTER_WITH_SANITIZER;
    return false;
}

/* What this library has no number for, this machine's programs do not call. */
static void filter_add(struct filter *filter, uint32_t action, const char *name, const struct scmp_arg_cmp *conditions,
                       unsigned n_conditions)
{
    int number = seccomp_syscall_resolve_name(name), r;

    if (number == __NR_SCMP_ERROR || filter->r < 0)
        return;
    r = seccomp_rule_add_array(filter->context, action, number, n_conditions, conditions);
    if (r < 0)
        filter->r = r;
}

static void filter_add_calls(struct filter *filter)
{
    for (size_t i = 0; i < ARRAY_LENGTH(filter_calls); i++) {
        const struct filter_call *call = &filter_calls[i];
        bool of_sanitizers = filter_is_of_sanitizers(call->name);

        if (call->kind == FILTER_CALL_ALLOWED || (call->kind == FILTER_CALL_OF_SANITIZERS && of_sanitizers))
            filter_add(filter, SCMP_ACT_ALLOW, call->name, NULL, 0);
        else if (call->kind == FILTER_CALL_REFUSED && !of_sanitizers)
            filter_add(filter, FILTER_REFUSE, call->name, NULL, 0);
    }
}

/* An argument has one of some values; of a sanitizer's, any. */
static void filter_add_values(struct filter *filter, const char *name, unsigned argument, const uint32_t *values,
                              size_t n_values)
{
    if (filter_is_of_sanitizers(name))
        return;
    for (size_t i = 0; i < n_values; i++) {
        const struct scmp_arg_cmp condition = SCMP_CMP32(argument, SCMP_CMP_EQ, values[i]);

        filter_add(filter, SCMP_ACT_ALLOW, name, &condition, 1);
    }
}

/* With these bits of an argument, and without. */
static void filter_add_bits(struct filter *filter, const char *name, unsigned argument, uint64_t bits, uint32_t with,
                            uint32_t without)
{
    const struct scmp_arg_cmp has = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, bits, bits);
    const struct scmp_arg_cmp lacks = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, bits, 0);

    if (filter_is_of_sanitizers(name))
        return;
    filter_add(filter, with, name, &has, 1);
    filter_add(filter, without, name, &lacks, 1);
}

/* Code is generated in memory of no file, which can be written and executed. */
static void filter_add_mmap(struct filter *filter, bool with_jit)
{
    const struct scmp_arg_cmp anonymous[] = {SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC),
                                             SCMP_CMP64(3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)};
    const struct scmp_arg_cmp of_a_file[] = {SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC),
                                             SCMP_CMP64(3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)};
    const struct scmp_arg_cmp plain = SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);

    if (filter_is_of_sanitizers("mmap"))
        return;
    filter_add(filter, SCMP_ACT_ALLOW, "mmap", &plain, 1);
    filter_add(filter, with_jit ? SCMP_ACT_ALLOW : FILTER_REFUSE, "mmap", anonymous, 2);
    filter_add(filter, FILTER_REFUSE, "mmap", of_a_file, 2);
}

static void filter_add_conditions(struct filter *filter, bool with_jit)
{
    static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    static const uint32_t questions[] = {FIONREAD, FIONBIO, TIOCOUTQ /* also SIOCOUTQ */, TCGETS, TIOCGWINSZ};
    static const uint32_t names[] = {PR_SET_NAME, PR_GET_NAME, FILTER_NAME_MEMORY};
    const uint32_t ourselves = PROGRAM_OUR_PID, us = 0;

    filter_add_values(filter, "socket", 0, families, ARRAY_LENGTH(families));
    filter_add_values(filter, "ioctl", 1, questions, ARRAY_LENGTH(questions));
    filter_add_values(filter, "prctl", 0, names, ARRAY_LENGTH(names));
    filter_add_values(filter, "tgkill", 0, &ourselves, 1);
    filter_add_values(filter, "prlimit64", 0, &us, 1);
    filter_add_bits(filter, "clone", 0, CLONE_THREAD, SCMP_ACT_ALLOW, FILTER_REFUSE);
    filter_add_bits(filter, "mprotect", 2, PROT_EXEC, FILTER_REFUSE, SCMP_ACT_ALLOW);
    filter_add_mmap(filter, with_jit);
}

/* ---- writing ---- */

/* libseccomp writes into a file, and nowhere else. */
static ssize_t filter_export(const struct filter *filter, struct sock_filter *steps, size_t size)
{
    FILE *file = tmpfile();
    ssize_t n = -1;

    if (file && seccomp_export_bpf(filter->context, fileno(file)) == 0)
        n = pread(fileno(file), steps, size, 0);
    if (file)
        fclose(file);
    return n < 0 || n % (ssize_t)sizeof(*steps) != 0 ? -1 : n / (ssize_t)sizeof(*steps);
}

static int filter_write(const char *name, bool with_jit)
{
    struct filter filter = {.context = seccomp_init(FILTER_UNKNOWN)};
    static struct sock_filter steps[BPF_MAXINSNS];
    ssize_t n;

    if (!filter.context)
        return -ENOMEM;
    (void)seccomp_attr_set(filter.context, SCMP_FLTATR_CTL_OPTIMIZE, FILTER_BINARY_TREE);
    (void)seccomp_attr_set(filter.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    filter_add_calls(&filter);
    filter_add_conditions(&filter, with_jit);
    n = filter.r < 0 ? -1 : filter_export(&filter, steps, sizeof(steps));
    seccomp_release(filter.context);
    if (n < 0)
        return filter.r < 0 ? filter.r : -EIO;
    printf("static const struct sock_filter %s[] = {\n", name);
    for (ssize_t i = 0; i < n; i++)
        printf("    {0x%04x, %u, %u, 0x%08x},\n", steps[i].code, steps[i].jt, steps[i].jf, steps[i].k);
    puts("};\n");
    return 0;
}

int main(void)
{
    int r;

    puts("/* Made by proxy/sandbox/generate/filter.c. */\n#include \"proxy/sandbox/program.h\"\n");
    r = filter_write("plain", false);
    if (r == 0)
        r = filter_write("with_jit", true);
    if (r < 0) {
        fprintf(stderr, "filter: %s\n", strerror(-r));
        return EXIT_FAILURE;
    }
    puts("const struct program program_plain = {plain, sizeof(plain) / sizeof(plain[0])};\n"
         "const struct program program_with_jit = {with_jit, sizeof(with_jit) / sizeof(with_jit[0])};");
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
