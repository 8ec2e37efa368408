/* What taps want to see of an exchange besides its record: both heads, and the beginnings of bodies. There is one only
 * when somebody listened as the request began, and asked for that. */
#ifndef PORTHOLE_EXCHANGE_CAPTURE_H
#define PORTHOLE_EXCHANGE_CAPTURE_H

#include "proxy/exchange/state.h"
#include "proxy/report/tap.h"

/* Owned by its exchange. */
struct capture {
    size_t body_most;
    struct tap_message message; /* of owned memory */
};

/* The head has come: begins one, if taps want it; without memory there is none. */
void capture_begin(struct exchange *exchange, uint32_t wanted);
/* A piece of the request's body, or of the answer's. */
void capture_request_body(struct capture *capture, const char *data, size_t length);
void capture_answer_body(struct capture *capture, const char *data, size_t length);
/* The answer is told; another one may take its place. */
void capture_answer(const struct exchange *exchange, const struct answer *answer);
/* Takes NULL. Always returns NULL. */
struct capture *capture_free(struct capture *capture);

#endif
