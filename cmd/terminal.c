#include "cmd/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct terminal terminal_look(size_t width)
{
    struct terminal terminal = {.is_one = isatty(STDOUT_FILENO), .width = width};
    const char *name = getenv("TERM");
    struct winsize size;

    terminal.obeys = terminal.is_one && name && *name && strcmp(name, "dumb") != 0;
    if (terminal.is_one && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        terminal.width = size.ws_col;
        terminal.height = size.ws_row;
    }
    return terminal;
}
