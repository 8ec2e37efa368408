/* Connecting: libcurl opens every connection to a target; nothing else on the data path knows libcurl, but for
 * channel, which goes on with a TLS connection.
 *
 * An attempt names one endpoint; a Unix connection is there (or has failed) when connect_start returns, TCP and TLS
 * take their time in the worker's connector, host names in the resolver. A plain connection's descriptor is taken over
 * from libcurl as soon as it stands, so that sending and receiving cost a system call each; a TLS connection keeps its
 * easy handle. */
#ifndef PORTHOLE_REACH_CONNECT_H
#define PORTHOLE_REACH_CONNECT_H

#include "proxy/base/state.h"
#include "proxy/reach/channel.h"
#include "proxy/reach/connect_options.h"
#include "proxy/reach/connector.h"
#include "proxy/report/failure.h"

/* One connection being made.
 *
 *   RESOLVING <---> TRYING <----> BACKING_OFF   the target's backlog is full
 *       |              |
 *       +--------------+---> OVER               a connection, or a failure
 *
 * One to a host name begins by asking for it, and asks once more when nothing answers at the addresses that were known;
 * others begin by trying.
 */
enum attempt_state { ATTEMPT_RESOLVING, ATTEMPT_TRYING, ATTEMPT_BACKING_OFF, ATTEMPT_OVER, N_ATTEMPT_STATES };

extern const struct state_machine attempt_machine;

struct attempt;

/* Called once when an attempt that was CONNECT_WAIT has ended; the attempt is freed afterwards. The callback takes over
 * *channel; or channel is NULL and *failure says why, until the callback returns. */
typedef void attempt_fn(void *closure, struct channel *channel, const struct failure *failure);

enum connect_result { CONNECT_DONE, CONNECT_WAIT, CONNECT_FAILED };

/* Starts. CONNECT_DONE: *ret_channel is the caller's. CONNECT_WAIT: *ret_attempt can be cancelled until fn has been
 * called. CONNECT_FAILED: *ret_failure says why. A full backlog (EAGAIN) is retried with backoff until timeout_ms have
 * passed. What `to` points at must live until the attempt has ended. */
enum connect_result connect_start(struct connector *connector, const struct destination *to, uint64_t timeout_ms,
                                  attempt_fn *fn, void *closure, struct channel *ret_channel,
                                  struct attempt **ret_attempt, struct failure *ret_failure) WARN_UNUSED;
/* Ends an attempt without its callback. Takes NULL. */
void connect_cancel(struct attempt *attempt);

/* Of libcurl and of what it has TLS from; for ever. */
struct connect_versions {
    const char *version, *tls;
};

struct connect_versions connect_library_versions(void);
/* Once per process, before threads: libcurl's global state. Without TLS that is set up by the first connection that has
 * it, where that can be told apart (tls_setup). 0 or -EIO. */
int connect_global_init(bool with_tls) WARN_UNUSED;

#endif
