#include "proxy/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    int saved_errno = errno;

    if (err) {
        /* By way of a copy: the arguments may be views of the message that is being replaced. */
        char message[ERROR_MESSAGE_BYTES];
        va_list args;

        va_start(args, format);
        vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        memcpy(err->message, message, sizeof(message));
        err->code = code;
    }
    errno = saved_errno;
    return code;
}

int error_prefix(struct error *err, const char *format, ...)
{
    int saved_errno = errno;
    char prefix[ERROR_MESSAGE_BYTES];
    char joined[2 * ERROR_MESSAGE_BYTES + 2];
    va_list args;

    if (!err)
        return -EIO;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    snprintf(joined, sizeof(joined), "%s: %s", prefix, err->message);
    memcpy(err->message, joined, sizeof(err->message) - 1);
    err->message[sizeof(err->message) - 1] = '\0';
    errno = saved_errno;
    return err->code;
}
