/* Files of a TLS identity: when they count as changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/trust.h"

struct bench {
    char directory[64], ca[96], cert[96], key[96];
    struct trust trust;
    struct tls_config tls;
    struct instant now;
};

static void put(const char *path, const char *text)
{
    char other[128];
    FILE *f;

    snprintf(other, sizeof(other), "%s.new", path);
    f = fopen(other, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(other, path), 0);
}

static int bench_setup(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    snprintf(bench->directory, sizeof(bench->directory), "/tmp/porthole-trust-XXXXXX");
    assert_non_null(mkdtemp(bench->directory));
    snprintf(bench->ca, sizeof(bench->ca), "%s/ca", bench->directory);
    snprintf(bench->cert, sizeof(bench->cert), "%s/cert", bench->directory);
    snprintf(bench->key, sizeof(bench->key), "%s/key", bench->directory);
    put(bench->ca, "ca");
    put(bench->cert, "cert");
    put(bench->key, "key");
    bench->tls = (struct tls_config){.ca = bench->ca, .cert = bench->cert, .key = bench->key};
    bench->now = instant_now();
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;

    unlink(bench->ca);
    unlink(bench->cert);
    unlink(bench->key);
    rmdir(bench->directory);
    free(bench);
    return 0;
}

static bool look_after(struct bench *bench, uint64_t ms)
{
    bench->now = instant_add_ms(bench->now, ms);
    return trust_has_changed(&bench->trust, &bench->tls, bench->now);
}

static void test_trust_each_file_counts_once(void **state)
{
    struct bench *bench = *state;
    const char *const paths[] = {bench->ca, bench->cert, bench->key};

    assert_false(look_after(bench, 0));
    assert_false(look_after(bench, 5000));
    for (size_t i = 0; i < 3; i++) {
        put(paths[i], "xyz"); /* of the same length */
        assert_true(look_after(bench, 1000));
        assert_false(look_after(bench, 1000));
        assert_int_equal(unlink(paths[i]), 0);
        assert_true(look_after(bench, 1000));
        assert_false(look_after(bench, 1000));
        put(paths[i], "back");
        assert_true(look_after(bench, 1000));
    }
}

static void test_trust_is_looked_at_once_a_second(void **state)
{
    struct bench *bench = *state;

    assert_false(look_after(bench, 0));
    put(bench->key, "another");
    assert_false(look_after(bench, 999));
    assert_true(look_after(bench, 1));
}

static void test_trust_files_that_are_not_configured_are_none(void **state)
{
    struct bench *bench = *state;

    unsetenv("SSL_CERT_FILE");
    bench->tls = (struct tls_config){0};
    assert_false(look_after(bench, 0));
    put(bench->ca, "another");
    assert_false(look_after(bench, 1000));
}

static void test_trust_variables_stand_in_for_what_is_not_configured(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(setenv("SSL_CERT_FILE", bench->cert, 1) + setenv("SSL_CERT_DIR", bench->directory, 1), 0);
    assert_string_equal(trust_ca_file(&bench->tls), bench->ca);
    assert_null(trust_ca_directory(&bench->tls));
    bench->tls = (struct tls_config){0};
    assert_string_equal(trust_ca_file(&bench->tls), bench->cert);
    assert_string_equal(trust_ca_directory(&bench->tls), bench->directory);
    assert_false(look_after(bench, 0));
    put(bench->cert, "another");
    assert_true(look_after(bench, 1000));
    assert_int_equal(setenv("SSL_CERT_FILE", "", 1) + setenv("SSL_CERT_DIR", "", 1), 0);
    assert_null(trust_ca_file(&bench->tls));
    assert_null(trust_ca_directory(&bench->tls));
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_trust_each_file_counts_once),
        BENCH_TEST(test_trust_is_looked_at_once_a_second),
        BENCH_TEST(test_trust_files_that_are_not_configured_are_none),
        BENCH_TEST(test_trust_variables_stand_in_for_what_is_not_configured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
