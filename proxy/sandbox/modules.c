#include "proxy/sandbox/modules.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MODULES_LINE_BYTES 1024

/* Since glibc 2.34. */
static bool modules_is_in_libc(const char *name)
{
    return strcmp(name, "files") == 0 || strcmp(name, "dns") == 0;
}

/* What the lookup itself opens finds it by this name, and that it is there. */
static void modules_load_one(const char *name)
{
    char file[MODULES_LINE_BYTES + 16];

    if (strchr(name, '/') || modules_is_in_libc(name))
        return;
    snprintf(file, sizeof(file), "libnss_%s.so.2", name);
    (void)dlopen(file, RTLD_NOW);
}

/* Names of services, and what to do after each in brackets. */
static void modules_load_line(char *services)
{
    bool within = false;
    char *rest = services;

    services[strcspn(services, "#\n")] = '\0';
    for (char *word = strsep(&rest, " \t"); word; word = strsep(&rest, " \t")) {
        if (word[0] == '[')
            within = true;
        if (!within && word[0] != '\0')
            modules_load_one(word);
        if (within && strchr(word, ']'))
            within = false;
    }
}

void modules_load(const char *file)
{
    char line[MODULES_LINE_BYTES];
    FILE *from = fopen(file, "re");

    while (from && fgets(line, sizeof(line), from)) {
        char *begin = line + strspn(line, " \t");

        if (strncmp(begin, "hosts:", 6) == 0)
            modules_load_line(begin + 6);
    }
    if (from)
        fclose(from);
}
