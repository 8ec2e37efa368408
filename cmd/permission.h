/* Which part of a path keeps us from connecting to the socket there, and what would help. */
#ifndef PORTHOLE_CMD_PERMISSION_H
#define PORTHOLE_CMD_PERMISSION_H

#include <stddef.h>

/* After EACCES or ENOENT: writes a sentence that reads behind "Permission denied: ", terminated. Looks at the file
 * system as whom we are now, so what it finds may have changed. */
void permission_explain(const char *path, char *out, size_t size);

#endif
