/* Paths of files, as a value of a message names them. Pure. */
#ifndef PORTHOLE_HTTP_FILE_PATH_H
#define PORTHOLE_HTTP_FILE_PATH_H

#include <stdbool.h>

#include "proxy/base/text.h"

/* Whether a path is what a prefix covers: "/a" covers "/a" and "/a/b", "/a/" only what is below. The path must be
 * absolute; "//" and "/./" are "/". Not covered, wherever they lead, are paths with a ".." segment (behind a symbolic
 * link that is another directory than it looks) and with a backslash (which is a "/" to some).
 *
 * A path may be followed by ":" and more ("/a:/b:ro"): it ends there. A ".." behind it counts, too: whoever takes the
 * whole for one path must not be led elsewhere. */
bool file_path_is_below(struct text path, struct text prefix);

/* NULL when a prefix is one, else what is wrong with it, a literal that reads behind "the path". */
const char *file_path_check_prefix(struct text prefix);

#endif
