/* What a file holds, read in one go. */
#ifndef PORTHOLE_BASE_FILE_READ_H
#define PORTHOLE_BASE_FILE_READ_H

#include <stddef.h>
#include <sys/types.h>

/* Reads until the file ends or `size` bytes are there; it may grow or shrink meanwhile, so ask for one byte more than
 * may be in it. How many there are, or a negative errno. */
ssize_t file_read_all(int fd, char *data, size_t size);

#endif
