/* Places for the library's memory: by its own calls of mmap(2) and munmap(2), and for nobody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/serve/connection_memory.h"

#define PAGES 9
#define MANY 200

static size_t place_bytes(void)
{
    return PAGES * (size_t)sysconf(_SC_PAGESIZE);
}

static void *map(size_t bytes)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static size_t count_resident(char *place)
{
    unsigned char resident[PAGES];
    size_t n = 0;

    assert_int_equal(mincore(place, place_bytes(), resident), 0);
    for (size_t i = 0; i < PAGES; i++)
        n += resident[i] & 1;
    return n;
}

static void test_memory_places_lie_apart_and_are_clear(void **state)
{
    struct connection_memory memory;
    char *places[MANY];

    (void)state;
    connection_memory_init(&memory, place_bytes());
    for (size_t i = 0; i < MANY; i++) {
        places[i] = connection_memory_take(&memory);
        assert_non_null(places[i]);
        assert_int_equal((uintptr_t)places[i] % (size_t)sysconf(_SC_PAGESIZE), 0);
        assert_int_equal(places[i][0], 0);
        assert_int_equal(places[i][place_bytes() - 1], 0);
        memset(places[i], (int)i + 1, place_bytes());
    }
    for (size_t i = 0; i < MANY; i++)
        for (size_t at = 0; at < place_bytes(); at += 512)
            assert_int_equal((unsigned char)places[i][at], (unsigned char)(i + 1));
    for (size_t i = 0; i < MANY; i++)
        assert_true(connection_memory_give(&memory, places[i]));
    connection_memory_deinit(&memory);
}

/* The place that was given back last has its pages still, and nothing else of who had it before. */
static void test_memory_place_is_warm_and_clear_again(void **state)
{
    struct connection_memory memory;
    char *place;

    (void)state;
    connection_memory_init(&memory, place_bytes());
    place = connection_memory_take(&memory);
    memset(place, 'x', place_bytes());
    assert_true(connection_memory_give(&memory, place));
    assert_ptr_equal(connection_memory_take(&memory), place);
    assert_int_equal(count_resident(place), PAGES);
    for (size_t at = 0; at < place_bytes(); at++)
        assert_int_equal(place[at], 0);
    assert_true(connection_memory_give(&memory, place));
    connection_memory_deinit(&memory);
}

/* After a crowd, what is kept is a slab or two of places, of which one slab's have pages. */
static void test_memory_of_a_crowd_goes_back(void **state)
{
    struct connection_memory memory;
    char *places[MANY], *first;
    size_t n_resident = 0;

    (void)state;
    connection_memory_init(&memory, place_bytes());
    for (size_t i = 0; i < MANY; i++) {
        places[i] = connection_memory_take(&memory);
        memset(places[i], 'x', place_bytes());
    }
    first = places[0];
    for (size_t i = 1; i < MANY; i++)
        assert_true(connection_memory_give(&memory, places[i]));
    assert_in_range(memory.n_free, 1, 127);
    assert_in_range(memory.n_warm, 0, 64);
    /* Whoever stays keeps what it has. */
    for (size_t at = 0; at < place_bytes(); at++)
        assert_int_equal(first[at], 'x');
    for (struct list *link = memory.slabs.next; link != &memory.slabs; link = link->next)
        n_resident++;
    assert_in_range(n_resident, 1, 2);
    assert_true(connection_memory_give(&memory, first));
    connection_memory_deinit(&memory);
}

static void test_memory_library_calls_get_places(void **state)
{
    struct connection_memory memory;
    char *place, *other;

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* ThreadSanitizer has to see each mapping itself */
#endif
    connection_memory_init(&memory, place_bytes());
    connection_memory_offer(&memory);
    connection_memory_show(&memory);
    place = map(place_bytes());
    other = map(2 * place_bytes());
    connection_memory_offer(NULL);
    assert_int_equal(memory.n_free, 63);
    /* What is mapped meanwhile by somebody else is theirs, and so is its end. */
    assert_true(other != MAP_FAILED);
    assert_int_equal(munmap(other, 2 * place_bytes()), 0);
    other = map(place_bytes());
    assert_int_equal(memory.n_free, 63);
    assert_int_equal(munmap(other, place_bytes()), 0);
    assert_int_equal(memory.n_free, 63);
    assert_int_equal(munmap(place, place_bytes()), 0);
    assert_int_equal(memory.n_free, 64);
    connection_memory_show(NULL);
    connection_memory_deinit(&memory);
}

static void test_memory_others_map_as_ever(void **state)
{
    struct connection_memory memory;
    char *place;

    (void)state;
    connection_memory_init(&memory, place_bytes());
    place = map(place_bytes());
    assert_true(place != MAP_FAILED);
    assert_int_equal(memory.n_free, 0);
    memset(place, 'x', place_bytes());
    assert_int_equal(munmap(place, place_bytes()), 0);
    assert_false(connection_memory_give(&memory, place));
    assert_ptr_equal(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
    connection_memory_deinit(&memory);
}

static void test_memory_unused_places_cool_down(void **state)
{
    struct connection_memory memory;
    void *places[3];

    (void)state;
    connection_memory_init(&memory, place_bytes());
    for (int i = 0; i < 3; i++)
        places[i] = connection_memory_take(&memory);
    for (int i = 0; i < 3; i++) {
        memset(places[i], 'x', 100);
        assert_true(connection_memory_give(&memory, places[i]));
    }
    connection_memory_rest(&memory);
    assert_int_equal(memory.n_warm, 3);
    places[0] = connection_memory_take(&memory);
    assert_true(connection_memory_give(&memory, places[0]));
    connection_memory_rest(&memory);
    assert_int_equal(memory.n_warm, 1);
    connection_memory_rest(&memory);
    assert_int_equal(memory.n_warm, 0);
    connection_memory_deinit(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_places_lie_apart_and_are_clear),
        cmocka_unit_test(test_memory_place_is_warm_and_clear_again),
        cmocka_unit_test(test_memory_of_a_crowd_goes_back),
        cmocka_unit_test(test_memory_unused_places_cool_down),
        cmocka_unit_test(test_memory_library_calls_get_places),
        cmocka_unit_test(test_memory_others_map_as_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
