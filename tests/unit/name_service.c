#include "tests/unit/name_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MOST 128

struct name_service name_service = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct addresses *name_service_addresses(const char *text)
{
    static _Thread_local struct addrinfo info[MOST];
    static _Thread_local union address_of address[MOST];
    char copy[2048], *rest = copy, *one;

    snprintf(copy, sizeof(copy), "%s", text);
    for (size_t i = 0; i < MOST && (one = strsep(&rest, ",")); i++) {
        bool is_six = strchr(one, ':');

        address[i] = (union address_of){.any.sa_family = AF_UNSPEC};
        info[i] = (struct addrinfo){.ai_next = NULL};
        address[i].any.sa_family = is_six ? AF_INET6 : AF_INET;
        assert_int_equal(inet_pton(address[i].any.sa_family, one,
                                   is_six ? (void *)&address[i].six.sin6_addr : (void *)&address[i].four.sin_addr),
                         1);
        info[i].ai_family = address[i].any.sa_family;
        info[i].ai_addrlen = is_six ? sizeof(address[i].six) : sizeof(address[i].four);
        info[i].ai_addr = &address[i].any;
        if (i > 0)
            info[i - 1].ai_next = &info[i];
    }
    return addresses_new(info);
}

int name_service_look_up(const char *host, struct addresses **ret_addresses)
{
    int code;

    pthread_mutex_lock(&name_service.lock);
    name_service.n_begun++;
    name_service.n_inside++;
    if (name_service.n_inside > name_service.n_most_inside)
        name_service.n_most_inside = name_service.n_inside;
    pthread_cond_broadcast(&name_service.changed);
    while (name_service.silent && strncmp(host, "silent", 6) == 0)
        pthread_cond_wait(&name_service.changed, &name_service.lock);
    code = name_service.addresses ? 0 : name_service.code;
    if (code == 0)
        *ret_addresses = name_service_addresses(name_service.addresses);
    errno = name_service.error_number;
    name_service.n_inside--;
    name_service.n_ended++;
    pthread_cond_broadcast(&name_service.changed);
    pthread_mutex_unlock(&name_service.lock);
    return code;
}

void name_service_set(const char *addresses, int code, bool silent)
{
    pthread_mutex_lock(&name_service.lock);
    name_service.addresses = addresses;
    name_service.code = code;
    name_service.silent = silent;
    pthread_cond_broadcast(&name_service.changed);
    pthread_mutex_unlock(&name_service.lock);
}

void name_service_reset(const char *addresses)
{
    name_service_set(addresses, 0, false);
    pthread_mutex_lock(&name_service.lock);
    /* What a test before has left. */
    while (name_service.n_inside > 0)
        pthread_cond_wait(&name_service.changed, &name_service.lock);
    name_service.n_begun = name_service.n_ended = name_service.n_most_inside = 0;
    name_service.error_number = 0;
    pthread_mutex_unlock(&name_service.lock);
}

void name_service_await(const unsigned *counter, unsigned n)
{
    pthread_mutex_lock(&name_service.lock);
    while (*counter < n)
        pthread_cond_wait(&name_service.changed, &name_service.lock);
    assert_int_equal(*counter, n);
    pthread_mutex_unlock(&name_service.lock);
}

unsigned name_service_count(const unsigned *counter)
{
    unsigned n;

    pthread_mutex_lock(&name_service.lock);
    n = *counter;
    pthread_mutex_unlock(&name_service.lock);
    return n;
}
