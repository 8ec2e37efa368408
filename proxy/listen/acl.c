#include "proxy/listen/acl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

#define ACL_PROC_BYTES 32 /* "/proc/self/fd/N" */

/* POSIX ACLs. Others (NFSv4's) are not inherited in a way that a mode would not bound. */
static const char *const acl_names[] = {"system.posix_acl_access", "system.posix_acl_default"};

static void acl_name_file(int fd, char proc[ACL_PROC_BYTES])
{
    snprintf(proc, ACL_PROC_BYTES, "/proc/self/fd/%d", fd);
}

int acl_clear(int fd)
{
    char proc[ACL_PROC_BYTES];

    acl_name_file(fd, proc);
    for (size_t i = 0; i < ARRAY_LENGTH(acl_names); i++)
        if (getxattr(proc, acl_names[i], NULL, 0) > 0 && removexattr(proc, acl_names[i]) < 0)
            return -errno;
    return 0;
}

bool acl_is_there(int fd)
{
    char proc[ACL_PROC_BYTES];

    acl_name_file(fd, proc);
    for (size_t i = 0; i < ARRAY_LENGTH(acl_names); i++)
        if (getxattr(proc, acl_names[i], NULL, 0) > 0)
            return true;
    return false;
}
