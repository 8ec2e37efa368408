#include "proxy/reach/tls_setup.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* <openssl/ssl.h>; of a program that is linked with --wrap. */
__attribute__((weak)) int __real_OPENSSL_init_ssl(uint64_t options, const void *settings);
int __wrap_OPENSSL_init_ssl(uint64_t options, const void *settings);

static struct {
    bool puts_off;
    atomic_bool is_due;
    uint64_t options; /* libcurl's; they say whether OpenSSL reads a file of its own, so they have to come first */
} tls_setup;

void tls_setup_put_off(void)
{
    tls_setup.puts_off = true;
}

/* By OpenSSL itself, too, which asks for more than has been done each time that something is made. */
__attribute__((used)) int __wrap_OPENSSL_init_ssl(uint64_t options, const void *settings)
{
    if (tls_setup.puts_off) {
        tls_setup.puts_off = false;
        tls_setup.options = options;
        atomic_store(&tls_setup.is_due, true);
        return 1;
    }
    tls_setup_make_up();
    return __real_OPENSSL_init_ssl(options, settings);
}

/* Twice does no harm, and whoever comes second waits in there for the first. */
void tls_setup_make_up(void)
{
    if (!atomic_load(&tls_setup.is_due))
        return;
    (void)__real_OPENSSL_init_ssl(tls_setup.options, NULL);
    atomic_store(&tls_setup.is_due, false);
}
