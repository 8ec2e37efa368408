/* The kernel's interface of Landlock, as far as it is used here: landlock(7), include/uapi/linux/landlock.h.
 *
 * Written down once more because the headers of Debian 12 end before the ABI of ports and scopes, and a program is
 * built where it need not run: what a kernel knows is asked when it runs. glibc has no functions for the three calls.
 */
#ifndef PORTHOLE_SANDBOX_LANDLOCK_ABI_H
#define PORTHOLE_SANDBOX_LANDLOCK_ABI_H

#include <stdint.h>

/* Rights over files, each with the ABI that brought it. */
#define LANDLOCK_EXECUTE (UINT64_C(1) << 0) /* 1 */
#define LANDLOCK_WRITE_FILE (UINT64_C(1) << 1)
#define LANDLOCK_READ_FILE (UINT64_C(1) << 2)
#define LANDLOCK_READ_DIR (UINT64_C(1) << 3)
#define LANDLOCK_REMOVE_DIR (UINT64_C(1) << 4)
#define LANDLOCK_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_MAKE_CHAR (UINT64_C(1) << 6)
#define LANDLOCK_MAKE_DIR (UINT64_C(1) << 7)
#define LANDLOCK_MAKE_REG (UINT64_C(1) << 8)
#define LANDLOCK_MAKE_SOCK (UINT64_C(1) << 9)
#define LANDLOCK_MAKE_FIFO (UINT64_C(1) << 10)
#define LANDLOCK_MAKE_BLOCK (UINT64_C(1) << 11)
#define LANDLOCK_MAKE_SYM (UINT64_C(1) << 12)
#define LANDLOCK_REFER (UINT64_C(1) << 13)     /* 2: without it nothing is renamed into another directory */
#define LANDLOCK_TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define LANDLOCK_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
/* The only ones that may be given for something that is no directory. */
#define LANDLOCK_OF_FILES \
    (LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE | LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV)

/* Over TCP ports: 4. */
#define LANDLOCK_BIND_TCP (UINT64_C(1) << 0)
#define LANDLOCK_CONNECT_TCP (UINT64_C(1) << 1)

/* What is out of reach outside: 6. */
#define LANDLOCK_ABSTRACT_SOCKETS (UINT64_C(1) << 0)
#define LANDLOCK_SIGNALS (UINT64_C(1) << 1)

#define LANDLOCK_ASK_VERSION (1u << 0) /* of landlock_create_ruleset: return the ABI */

/* A kernel that knows less takes it as long as what it does not know is 0. */
struct landlock_ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

enum landlock_rule_kind { LANDLOCK_BENEATH = 1, LANDLOCK_PORT = 2 };

struct landlock_beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

struct landlock_port {
    uint64_t allowed;
    uint64_t port; /* host order */
};

#endif
