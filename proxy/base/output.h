/* Outputs: where lines of logs go. Thread-safe.
 *
 * Lines come out whole, whoever writes: in this process, and in others that write to the same place. Writing never
 * blocks. */
#ifndef PORTHOLE_BASE_OUTPUT_H
#define PORTHOLE_BASE_OUTPUT_H

#include <stddef.h>
#include <sys/types.h>

#include "proxy/base/error.h"

/* What a pipe takes in one piece (POSIX: PIPE_BUF), so that lines of several writers never mix. */
#define OUTPUT_WRITE_BYTES 4096

/* One place. Shared by all in the process who name it; counted. */
struct output;

/* Opens "stdout", "stderr", or a file for appending, which is created with mode 0640. The path of a descriptor of ours
 * (/dev/stdout, /dev/fd/7, /proc/self/fd/7, a symbolic link to one) means that descriptor. Any other symbolic link, and
 * what others could have put at the path, is refused. 0 or a negative errno. */
int output_open(const char *name, struct output **ret_output) WARN_UNUSED;
/* Whether that would succeed, with nothing made. 0 or a negative errno. */
int output_look(const char *name) WARN_UNUSED;
/* Why a file was not opened, for people. */
const char *output_explain(int code);
/* Takes NULL. */
void output_unref(struct output *output);

/* Writes one or more lines, each with its end, OUTPUT_WRITE_BYTES at most. Returns how many bytes of whole lines were
 * taken, or a negative errno when none was: -EAGAIN when there is no room now. A line of which only a part was written
 * is not taken, and an end of line comes before whatever is written next. */
ssize_t output_write(struct output *output, const char *lines, size_t n) WARN_UNUSED;

/* Opens those that were named by path anew, for whoever has renamed the files. One that cannot be opened stays as it
 * is; then the error (which may be NULL) is set, and its code returned. */
int output_reopen_all(struct error *error);

#endif
