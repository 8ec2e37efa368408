/* What the tests of an upstream's request half share. */
#ifndef PORTHOLE_TESTS_UNIT_UPSTREAM_FIXTURE_H
#define PORTHOLE_TESTS_UNIT_UPSTREAM_FIXTURE_H

#include "tests/unit/exchange_rig.h"

#define UPSTREAM_PIECE_BYTES 30000
#define UPSTREAM_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* A piece of a body; filled by upstream_group_setup. */
extern char upstream_piece[UPSTREAM_PIECE_BYTES + 1];

int upstream_group_setup(void **state);
/* A request with a body that is forwarded. */
void upstream_begin_post(struct rig *rig, const char *head);
/* The answer is UPSTREAM_OK, and the exchange ends well. */
void upstream_expect_ok(struct rig *rig);
/* The answer has this status, and the exchange ends with this outcome. */
void upstream_expect_status(struct rig *rig, unsigned status, enum outcome outcome);
/* Sends pieces until the target's socket is full; returns the bytes. */
size_t upstream_fill_target(struct rig *rig);

#endif
