#include "config/version.h"

#include <jansson.h>

const char *config_library_version(void)
{
    return jansson_version_str();
}
