/* When OpenSSL is set up, in a build that has it inside.
 *
 * libcurl sets it up with itself, whether TLS is wanted or not (CURL_GLOBAL_SSL has meant nothing since 7.57), which is
 * two of the three million instructions of a start. The linker gives us that call (docker/build-static.sh); elsewhere
 * these do nothing. */
#ifndef PORTHOLE_REACH_TLS_SETUP_H
#define PORTHOLE_REACH_TLS_SETUP_H

/* From here on libcurl's call is kept, not made. Before threads. */
void tls_setup_put_off(void);
/* Makes up for it: before anything else is asked of OpenSSL. Any thread, any number of times. */
void tls_setup_make_up(void);

#endif
