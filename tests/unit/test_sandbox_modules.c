/* Modules of the name service are there before the sandbox is. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/sandbox/modules.h"

static bool is_loaded(const char *file)
{
    void *module = dlopen(file, RTLD_NOW | RTLD_NOLOAD);

    if (module)
        dlclose(module);
    return module;
}

static void load(const char *text)
{
    char path[] = "/tmp/porthole-nsswitch-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    modules_load(path);
    assert_int_equal(unlink(path), 0);
}

/* libc6 has these two on every machine. */
static void test_modules_of_hosts_are_loaded_and_no_others(void **state)
{
    (void)state;
    load("passwd: hesiod\n# hosts: hesiod\nhosts: files [NOTFOUND=return hesiod] dns ../x # hesiod\n");
    assert_false(is_loaded("libnss_hesiod.so.2"));
    assert_false(is_loaded("libnss_compat.so.2"));
    load("  hosts:\tfiles dns compat\n");
    assert_true(is_loaded("libnss_compat.so.2"));
    assert_false(is_loaded("libnss_hesiod.so.2"));
}

static void test_modules_absent_file_and_module_do_no_harm(void **state)
{
    (void)state;
    modules_load("/porthole-is-not-here");
    load("hosts: porthole_is_not_here\n");
    load("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modules_of_hosts_are_loaded_and_no_others),
        cmocka_unit_test(test_modules_absent_file_and_module_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
