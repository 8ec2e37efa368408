#include "tests/unit/upstream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FULL_MOST_BYTES 10000000

char upstream_piece[UPSTREAM_PIECE_BYTES + 1];

int upstream_group_setup(void **state)
{
    (void)state;
    memset(upstream_piece, 'x', UPSTREAM_PIECE_BYTES);
    return 0;
}

void upstream_begin_post(struct rig *rig, const char *head)
{
    assert_int_equal(rig_begin(rig, head), EXCHANGE_FORWARD);
}

void upstream_expect_ok(struct rig *rig)
{
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 200);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
    assert_string_equal(rig->body, "ok");
    rig_end(rig, true, OUTCOME_FORWARDED);
}

void upstream_expect_status(struct rig *rig, unsigned status, enum outcome outcome)
{
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, status);
    rig_end(rig, true, outcome);
}

size_t upstream_fill_target(struct rig *rig)
{
    size_t n = 0;

    do {
        n += UPSTREAM_PIECE_BYTES;
        assert_true(n < FULL_MOST_BYTES);
    } while (rig_send_body(rig, upstream_piece) == EXCHANGE_BODY_MORE);
    return n;
}
