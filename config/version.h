#ifndef PORTHOLE_CONFIG_VERSION_H
#define PORTHOLE_CONFIG_VERSION_H

/* Version of the jansson that is loaded; lives for ever. */
const char *config_library_version(void);

#endif
