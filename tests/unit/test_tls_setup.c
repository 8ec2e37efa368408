/* OpenSSL's own function is one that tells how it was called; the linker's part is played by calling what it would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/base/error.h"
#include "proxy/reach/tls_setup.h"

#define BY_LIBCURL 0x80u
#define BY_OPENSSL 0x200000u

static uint64_t seen[8];
static size_t n_seen;

int __real_OPENSSL_init_ssl(uint64_t options, const void *settings);
int __wrap_OPENSSL_init_ssl(uint64_t options, const void *settings);

int __real_OPENSSL_init_ssl(uint64_t options, const void *settings)
{
    assert_null(settings);
    if (n_seen < ARRAY_LENGTH(seen))
        seen[n_seen++] = options;
    return 1;
}

/* In this order: what is put off is so for the life of a process. */
static void test_tls_setup_is_done_at_once_unless_put_off(void **state)
{
    (void)state;
    n_seen = 0;
    tls_setup_make_up();
    assert_int_equal(n_seen, 0);
    assert_int_equal(__wrap_OPENSSL_init_ssl(BY_LIBCURL, NULL), 1);
    assert_int_equal(n_seen, 1);
    assert_int_equal(seen[0], BY_LIBCURL);
}

static void test_tls_setup_put_off_is_made_up_for_before_anything_else(void **state)
{
    (void)state;
    n_seen = 0;
    tls_setup_put_off();
    assert_int_equal(__wrap_OPENSSL_init_ssl(BY_LIBCURL, NULL), 1);
    assert_int_equal(n_seen, 0);
    assert_int_equal(__wrap_OPENSSL_init_ssl(BY_OPENSSL, NULL), 1);
    assert_int_equal(n_seen, 2);
    assert_int_equal(seen[0], BY_LIBCURL);
    assert_int_equal(seen[1], BY_OPENSSL);
}

static void test_tls_setup_put_off_is_made_up_for_once(void **state)
{
    (void)state;
    n_seen = 0;
    tls_setup_put_off();
    assert_int_equal(__wrap_OPENSSL_init_ssl(BY_LIBCURL, NULL), 1);
    tls_setup_make_up();
    tls_setup_make_up();
    assert_int_equal(n_seen, 1);
    assert_int_equal(seen[0], BY_LIBCURL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_setup_is_done_at_once_unless_put_off),
        cmocka_unit_test(test_tls_setup_put_off_is_made_up_for_before_anything_else),
        cmocka_unit_test(test_tls_setup_put_off_is_made_up_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
