/* Errors with their context.
 *
 * Functions return 0, a negative errno that is passed up unchanged, or a positive code of their own
 * module that the immediate caller handles. What a person needs to read goes into a caller-owned
 * struct error, which outer layers extend with what they were doing. */
#ifndef PORTHOLE_BASE_ERROR_H
#define PORTHOLE_BASE_ERROR_H

#include <stddef.h>

#define ERROR_MESSAGE_BYTES 512

#if defined(__GNUC__)
#define WARN_UNUSED __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#else
#define WARN_UNUSED
#define PRINTF_LIKE(fmt, args)
#define UNUSED
#endif

/* _cleanup_(f) runs f(&variable) when the variable leaves its scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* One failure as a person reads it. Lives on its owner's stack; ERROR_INIT is "nothing happened". */
struct error {
    int code;                          /* negative errno, 0 when nothing happened */
    char message[ERROR_MESSAGE_BYTES]; /* always terminated, without a final full stop or newline */
};

#define ERROR_INIT               \
    {                            \
        .code = 0, .message = "" \
    }

/* Sets code and message; returns code, so that a caller can `return error_set(err, -EINVAL, ...)`.
 * err may be NULL. Keeps errno. */
int error_set(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the message that is there. Returns err->code (-EIO when err is NULL). */
int error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
