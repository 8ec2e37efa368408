/* Connecting: libcurl opens every connection to a target; nothing else on the data path knows libcurl.
 *
 * A connector belongs to one worker. An attempt names one endpoint; a Unix connection is there (or has
 * failed) when connect_start returns, TCP and TLS take their time in the worker's multi handle. A plain connection's
 * descriptor is taken over from libcurl as soon as it stands, so that sending and receiving cost a
 * system call each; a TLS connection keeps its easy handle. */
#ifndef PORTHOLE_REACH_CONNECT_H
#define PORTHOLE_REACH_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/loop.h"
#include "proxy/reach/channel.h"
#include "proxy/report/outcome.h"

struct connector;
struct attempt;

/* NULL when out of memory. curl_global_init has been called (connect_global_init). */
struct connector *connector_new(struct loop *loop);
/* Takes NULL. All attempts must have ended and all TLS channels must be closed. */
void connector_free(struct connector *connector);

/* Called once when an attempt that was CONNECT_WAIT has ended; the attempt is freed afterwards. On success outcome is
 * OUTCOME_FORWARDED and the callback takes over *channel; otherwise it says why and *error_number is the errno, or 0.
 */
typedef void attempt_fn(void *closure, enum outcome outcome, int error_number, struct channel *channel);

enum connect_result { CONNECT_DONE, CONNECT_WAIT, CONNECT_FAILED };

/* Starts. CONNECT_DONE: *ret_channel is the caller's. CONNECT_WAIT: *ret_attempt can be cancelled until fn has been
 * called. CONNECT_FAILED: *ret_outcome and *ret_errno say why. A full backlog (EAGAIN) is retried with backoff
 * until the connect timeout. */
enum connect_result connect_start(struct connector *connector, const struct target_config *target,
                                  const struct address *endpoint, attempt_fn *fn, void *closure,
                                  struct channel *ret_channel, struct attempt **ret_attempt, enum outcome *ret_outcome,
                                  int *ret_errno) WARN_UNUSED;
/* Ends an attempt without its callback. Takes NULL. */
void connect_cancel(struct attempt *attempt);

/* Once per process, before threads: libcurl's global state. 0 or -EIO. */
int connect_global_init(void) WARN_UNUSED;

#endif
