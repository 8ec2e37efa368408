/* What must happen, however busy the machine is. */
#ifndef PORTHOLE_TESTS_AWAIT_H
#define PORTHOLE_TESTS_AWAIT_H

#include "proxy/base/clock.h"
#include "proxy/base/loop.h"

#define AWAIT_PATIENCE_MS 20000

/* Turns the loop until the condition holds. */
#define AWAIT(loop, condition)                                                 \
    do {                                                                       \
        struct instant end = instant_add_ms(instant_now(), AWAIT_PATIENCE_MS); \
        while (!(condition)) {                                                 \
            assert_true(loop_run_once((loop), 50) >= 0);                       \
            assert_true(instant_before(instant_now(), end));                   \
        }                                                                      \
    } while (0)

#endif
