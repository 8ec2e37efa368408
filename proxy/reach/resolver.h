/* The resolver: where host names lead to, asked once for the whole process.
 *
 * Each name is looked up by one thread at a time, whoever wants to know, and its answer is kept: for whoever waits, and
 * for whoever asks later, even when nobody waits any more. So a name server that is silent costs a thread for each
 * name, and no other name is any later for it.
 *
 * An answer is used for as long as who asks wants (resolve.every), and is renewed in the background before that time is
 * over. One that is older is used while the name server does not answer: who asks gets it with the promise of a newer
 * one, and decides how long to wait for that. One that is contradicted (the name is not known any more) is not used. */
#ifndef PORTHOLE_REACH_RESOLVER_H
#define PORTHOLE_REACH_RESOLVER_H

#include "proxy/base/clock.h"
#include "proxy/base/mailbox.h"
#include "proxy/base/state.h"
#include "proxy/reach/addresses.h"

/* Lookups under way at once; names beyond them wait in a line. */
#define RESOLVER_MOST_THREADS 64
/* Names that are kept; one beyond them takes the place of the one that was not asked for longest. */
#define RESOLVER_MOST_NAMES 1024
/* Between two lookups of a name; for so long nothing found is nothing found. */
#define RESOLVER_PAUSE_MS 1000
/* How long a newer answer is waited for where there is an old one. */
#define RESOLVER_GRACE_MS 200

struct resolver;
struct resolver_question;

/* One name's lookups.
 *
 *   IDLE ---> IN_LINE ---> ASKED     a thread is free
 *    ^ ^         |           |
 *    | +---------+           |       no thread can be made
 *    +-----------------------+       answered
 */
enum resolver_name_state {
    RESOLVER_NAME_IDLE,
    RESOLVER_NAME_IN_LINE,
    RESOLVER_NAME_ASKED,
    N_RESOLVER_NAME_STATES,
};

extern const struct state_machine resolver_name_machine;

/* What is known of a name. */
struct resolver_answer {
    struct addresses *found; /* NULL: nothing */
    int code;                /* then: why, an EAI_ code */
    int error_number;        /* of EAI_SYSTEM */
};

/* Where somebody asks. Copied freely. */
struct resolver_desk {
    struct resolver *resolver; /* borrowed */
    struct mailbox *mailbox;   /* borrowed; where answers come that had to be waited for */
};

/* Called once with the answer to a question that had to wait, from the thread of its mailbox. The answer is borrowed.
 */
typedef void resolver_fn(void *closure, const struct resolver_answer *answer);

/* As addresses_look_up. */
typedef int resolver_look_up_fn(const char *host, struct addresses **ret_addresses);

/* NULL when out of memory. */
struct resolver *resolver_new(resolver_look_up_fn *look_up) WARN_UNUSED;
/* No question may be open, and nobody may ask any more. Does not wait for lookups under way: their threads take away
 * what is left. Takes NULL. */
void resolver_free(struct resolver *resolver);

enum resolver_result { RESOLVER_FOUND, RESOLVER_WAIT, RESOLVER_FAILED };

/* Where is `host`? The answer may be `every_ms` old.
 * RESOLVER_FOUND: *ret_answer, whose addresses are the caller's reference. RESOLVER_FAILED: *ret_answer says why.
 * RESOLVER_WAIT: fn will be called unless *ret_question is withdrawn before; if there are addresses in *ret_answer,
 * they are the caller's and an old answer, which will do after RESOLVER_GRACE_MS. */
enum resolver_result resolver_ask(const struct resolver_desk *desk, const char *host, uint64_t every_ms,
                                  struct instant now, resolver_fn *fn, void *closure,
                                  struct resolver_answer *ret_answer,
                                  struct resolver_question **ret_question) WARN_UNUSED;
/* Its fn is not called. From the thread of its mailbox, which may be closed. Takes NULL. */
void resolver_withdraw(struct resolver_question *question);
/* Nothing answers at the addresses that `host` is said to have: looks it up again, if that was not done just now. */
void resolver_doubt(struct resolver *resolver, const char *host, struct instant now);

/* Writes why there is no answer: "cannot resolve HOST: REASON", cut to `size`. */
void resolver_explain(const char *host, const struct resolver_answer *answer, char *out, size_t size);

#endif
