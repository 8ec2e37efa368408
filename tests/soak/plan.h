/* What a client of the soak means to do in an exchange, and the request that says so. */
#ifndef PORTHOLE_SOAK_PLAN_H
#define PORTHOLE_SOAK_PLAN_H

#include "tests/soak/said.h"

/* Kind, and how many of a hundred exchanges begin as one. */
#define PLAN_KINDS(X)          \
    X(GET, "get", 31)          \
    X(HEAD, "head", 3)         \
    X(UPLOAD, "upload", 20)    \
    X(EXPECT, "expect", 3)     \
    X(EARLY, "early", 8)       \
    X(LEAVE, "leave", 11)      \
    X(CUT, "cut", 9)           \
    X(PIPELINE, "pipeline", 5) \
    X(TUNNEL, "tunnel", 10)

enum plan_kind {
#define X(name, text, share) PLAN_##name,
    PLAN_KINDS(X)
#undef X
        N_PLAN_KINDS
};

static const char *const plan_names[] = {
#define X(name, text, share) text,
    PLAN_KINDS(X)
#undef X
};

static const unsigned plan_shares[] = {
#define X(name, text, share) share,
    PLAN_KINDS(X)
#undef X
};

/* One exchange as it is meant to go. */
struct plan {
    enum plan_kind kind;
    struct said said;
    const char *method;
    bool chunked;           /* the request's body */
    bool last;              /* the request says that its connection ends */
    uint64_t leave_sending; /* the client leaves after so many bytes; 0: it doesn't */
    uint64_t leave_reading;
};

/* Sizes of all kinds: next to the borders of blocks, small ones, and now and then large ones. */
static inline uint64_t plan_size(uint64_t *random)
{
    static const uint64_t borders[] = {0, 1, 100, 4096, 8192, 16384, 24576, 32768, 65536, 131072, 262144};
    uint64_t dice = said_below(random, 100);
    if (dice < 25) {
        uint64_t size = borders[said_below(random, sizeof(borders) / sizeof(*borders))];
        return size > 1 ? size - 1 + said_below(random, 3) : size;
    }
    return said_below(random, (uint64_t)1 << said_below(random, dice < 97 ? 17 : 21));
}

static inline enum plan_kind plan_kind(uint64_t *random)
{
    uint64_t dice = said_below(random, 100);
    unsigned kind = 0;
    while (kind < PLAN_TUNNEL && dice >= plan_shares[kind]) {
        dice -= plan_shares[kind];
        kind++;
    }
    return (enum plan_kind)kind;
}

static inline void plan_upload(struct plan *plan, uint64_t *random)
{
    plan->method = "POST";
    plan->said.up = plan_size(random);
    plan->chunked = said_below(random, 2);
}

/* What is the kind's own. */
static inline void plan_of_kind(struct plan *plan, uint64_t *random)
{
    struct said *said = &plan->said;
    if (plan->kind == PLAN_UPLOAD || plan->kind == PLAN_EXPECT || plan->kind == PLAN_EARLY ||
        ((plan->kind == PLAN_LEAVE || plan->kind == PLAN_CUT) && said_below(random, 2)))
        plan_upload(plan, random);
    if (plan->kind == PLAN_EXPECT)
        said->up++; /* nobody expects nothing */
    if (plan->kind == PLAN_HEAD)
        plan->method = "HEAD";
    if (plan->kind == PLAN_EARLY) {
        said->early = 1 + said_below(random, said->up + 1);
        said->down %= 4096;
        said->flags = said->flags & SAID_SLOW ? SAID_LEAVE : 0;
        /* With a body unread an end is a reset, which ends no body. */
        said->framing = said->framing == SAID_UNTIL_END ? SAID_SIZED : said->framing;
    }
    if (plan->kind == PLAN_CUT) {
        said->framing = said_below(random, 2) ? SAID_SIZED : SAID_CHUNKED;
        said->cut = 1 + said_below(random, said->down + 40);
    }
    if (plan->kind == PLAN_PIPELINE) {
        said->down %= 4096;
        said->framing = said_below(random, 2) ? SAID_SIZED : SAID_CHUNKED;
        said->flags &= ~(unsigned)SAID_CLOSE;
    }
    if (plan->kind == PLAN_TUNNEL) {
        said->flags = (said->flags & SAID_SLOW) | SAID_TUNNEL;
        said->up = plan_size(random);
        said->cut = said->up && said_below(random, 5) == 0 ? 1 + said_below(random, said->up) : 0;
    }
}

/* Of one of `n_targets`. */
static inline void plan_make(struct plan *plan, enum plan_kind kind, unsigned n_targets, uint64_t *random,
                             uint64_t number)
{
    static const char framings[] = "ssssccce";
    *plan = (struct plan){.kind = kind, .method = "GET"};
    plan->said = (struct said){
        .target = (unsigned)said_below(random, n_targets),
        .number = number,
        .framing = framings[said_below(random, sizeof(framings) - 1)],
        .down = plan_size(random),
    };
    if (said_below(random, 12) == 0)
        plan->said.flags |= SAID_SLOW;
    if (said_below(random, 12) == 0)
        plan->said.flags |= SAID_CLOSE;
    if (said_below(random, 12) == 0 && kind != PLAN_CUT)
        plan->said.flags |= SAID_INTERIM;
    plan_of_kind(plan, random);
}

/* The request, to be freed, or NULL without memory; `ret_head` is the length of its head. */
static inline char *plan_compose(const struct plan *plan, size_t *ret_head, size_t *ret_length)
{
    const struct said *said = &plan->said;
    bool is_post = plan->method[0] == 'P';
    char *request = malloc(1024 + (is_post ? said_room(said->up) : 0)), *at = request;
    if (!request)
        return NULL;
    at += sprintf(at,
                  "%s /%u/%" PRIu64 "/%c/%" PRIu64 "/%" PRIu64 "/%" PRIu64 "/%" PRIu64 "/%u HTTP/1.1\r\nHost: soak\r\n",
                  plan->method, said->target, said->number, said->framing, said->down, said->up, said->cut, said->early,
                  said->flags);
    if (plan->kind == PLAN_TUNNEL)
        at += sprintf(at, "Connection: Upgrade\r\nUpgrade: soak\r\n");
    else if (plan->last)
        at += sprintf(at, "Connection: close\r\n");
    if (plan->kind == PLAN_EXPECT)
        at += sprintf(at, "Expect: 100-continue\r\n");
    if (is_post && plan->chunked)
        at += sprintf(at, "Transfer-Encoding: chunked\r\n");
    else if (is_post)
        at += sprintf(at, "Content-Length: %" PRIu64 "\r\n", said->up);
    at += sprintf(at, "\r\n");
    *ret_head = (size_t)(at - request);
    if (is_post)
        at = said_encode(at, plan->chunked ? SAID_CHUNKED : SAID_SIZED, ~said->number, said->up);
    *ret_length = (size_t)(at - request);
    return request;
}

#endif
