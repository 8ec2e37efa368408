/* Modules of the name service, which libc loads at the first lookup: behind a filter that lets nothing be executed that
 * was not there before, that is too late. So they are loaded ahead. */
#ifndef PORTHOLE_SANDBOX_MODULES_H
#define PORTHOLE_SANDBOX_MODULES_H

/* The modules that a file like /etc/nsswitch.conf has for hosts, for as long as the process lives. Those that are part
 * of libc, or are not there, need nothing. */
void modules_load(const char *file);

#endif
