/* A snapshot: one validated configuration, immutable and reference-counted.
 *
 * Made by config_load (config/load.h), read by everybody, from any thread. Strings and arrays belong to the
 * snapshot and live as long as it does; whoever keeps a pointer into it across events holds a
 * reference. All text is NUL-terminated UTF-8 without embedded NUL. */
#ifndef PORTHOLE_CONFIG_SNAPSHOT_H
#define PORTHOLE_CONFIG_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "config/address.h"
#include "config/log_fields.h"
#include "config/written.h"
#include "proxy/base/log.h"
#include "proxy/base/rate.h"
#include "proxy/base/sha256.h"
#include "proxy/http/condition.h"
#include "proxy/http/edits.h"
#include "proxy/http/json_rule.h"
#include "proxy/http/rewrite.h"

#define SIZE_UNLIMITED UINT64_MAX
#define OWNER_UNCHANGED ((uint32_t)-1)

struct json_rules;
struct series;

/* One entry of peers.allow, peers.deny or forwarded.trust: everything that is given must match. */
struct peer_rule {
    bool has_uid, has_gid;
    uid_t uid;
    gid_t gid; /* matches the peer's primary or any supplementary group */
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* Whom an https endpoint is taken for, and what we show it. */
struct tls_config {
    char *ca, *cert, *key, *server_name; /* NULL when not given */
    bool verify;
    enum tls_version min_version;
};

/* How long a target may take. */
struct target_times {
    uint64_t response_ms; /* request sent -> response head */
    uint64_t idle_ms;     /* between two pieces of a response body, or of a request body sent */
    uint64_t tunnel_ms;   /* between two pieces through a tunnel, either way */
};

/* How endpoints are checked. */
struct health_config {
    char *path;   /* what is asked for, with a query if need be; NULL: a connection will do */
    char *host;   /* NULL: the endpoint's own */
    char *status; /* which are good: "2xx", "204", "200-399" */
    uint64_t interval_ms, timeout_ms;
    uint32_t rise, fall; /* checks in a row after which it is up, down */
};

/* When an endpoint is left out for a time, of several. */
struct eject_config {
    uint32_t failures;  /* in a row */
    uint64_t for_ms;    /* the first time */
    uint32_t most;      /* of all endpoints at once, in thousandths */
    bool server_errors; /* an answer with 500 to 599 is a failure */
};

/* One of a target's addresses. */
struct endpoint_config {
    struct address address;
    char *canonical; /* owned; as address_canonical spelled it when it was read: links may lead elsewhere by now */
    uint32_t weight; /* its part of what goes to the target, beside those of the others; 0: none */
};

/* When a request may be sent once more: no connection could be made; one that was kept turned out dead; the answer
 * would be one of these, be it the target's or ours. */
enum retry_cause { RETRY_CONNECT, RETRY_REUSED, RETRY_502, RETRY_503, RETRY_504, RETRY_NEVER };

#define RETRY_ON_ANSWERS (1u << RETRY_502 | 1u << RETRY_503 | 1u << RETRY_504)

/* How often, and when, a request is sent again. */
struct retry_config {
    uint32_t attempts;     /* after the first; connections that could not be made are none */
    unsigned on;           /* a bit for each enum retry_cause */
    uint32_t budget_milli; /* of requests, how many thousandths may be sent again upon an answer */
    bool has_per_try;
    uint64_t per_try_ms; /* of times.response_ms, for each; UINT64_MAX where it is not given */
};

#define TARGET_MOST_ENDPOINTS 64

/* Which endpoint is next. */
enum target_balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONNECTIONS, BALANCE_RANDOM, BALANCE_FAILOVER };

/* One destination. Its name is what routes and logs call it. */
struct target_config {
    char *name;   /* key in "targets", or the address text for a target written inside a route */
    size_t index; /* position in snapshot.targets */
    struct endpoint_config *endpoints;
    size_t n_endpoints; /* 1 to TARGET_MOST_ENDPOINTS; one has a weight */
    enum target_balance balance;
    uint32_t connections_max;   /* open at once */
    uint32_t connections_queue; /* that wait for one at once */
    uint32_t connections_idle;
    uint64_t connections_idle_timeout_ms;
    uint64_t connections_max_age_ms;
    uint64_t connect_timeout_ms;
    uint64_t hold_ms; /* waits so long for an endpoint to appear; 0: not at all */
    struct target_times times;
    struct retry_config retries;
    uint64_t resolve_every_ms; /* how old may be what is known of a host name */
    bool resolve_all;          /* each of its addresses is an endpoint */
    struct tls_config tls;
    bool has_health;
    struct health_config health;
    bool ejects;
    struct eject_config eject;
    uint64_t digest;       /* of its name and what the file says of it */
    struct series *series; /* borrowed; where it is counted (series_bind); NULL before it is served */
};

/* What becomes of paths that could mean another one to the target. */
enum route_ambiguity { ROUTE_AMBIGUITY_REFUSE, ROUTE_AMBIGUITY_ALLOW };
enum route_action { ROUTE_TARGET, ROUTE_RESPOND, ROUTE_DENY, ROUTE_REDIRECT };

/* An answer that is in the configuration. */
struct route_answer {
    uint32_t status; /* 200..599; of deny 400..599 */
    char *body;      /* NULL: none; of a deny: the problem is */
    size_t body_length;
    char *content_type; /* never NULL */
    char *file;         /* where the body was read from; NULL: it is `body`; only of respond, like the next */
    char *content;      /* owned; what the file held, body_length bytes */
    bool secret;        /* a variable stands in `body` */
};

/* Whose requests a rate counts. */
enum rate_by { RATE_BY_ROUTE, RATE_BY_UID };

/* What a request must match (every condition given) and what then happens. */
struct route_config {
    char *name;                 /* as given, or "LISTENER#N" with N the position from 1 */
    char *host;                 /* NULL: any. lower case; "*.example.org" matches any name below example.org */
    char *path;                 /* NULL: any. Exact, as matching sees it (http/path.h) */
    char *path_prefix;          /* NULL: any. On segment boundaries: "/a" and "/a/" match "/a/b", "/a" also "/a" */
    struct pattern *path_regex; /* NULL: any. Of the whole path, as matching sees it */
    char **methods;             /* NULL-terminated, case-sensitive; NULL: any */
    struct condition *headers;  /* each must hold */
    size_t n_headers;
    struct condition *queries;
    size_t n_queries;
    struct peer_rule *peers; /* NULL and 0: every peer */
    size_t n_peers;
    struct peer_rule *denied; /* before the others */
    size_t n_denied;
    enum route_ambiguity path_ambiguity;
    char **upgrade; /* NULL-terminated protocol names in lower case, without versions; NULL: see http/upgrade.h */
    enum route_action action;
    const struct target_config *target; /* ROUTE_TARGET; in the same snapshot */
    bool has_response_time, has_idle_time, has_tunnel_time;
    bool has_times;            /* any of these: the target's others have been filled in */
    struct target_times times; /* instead of the target's */
    bool has_attempts, has_retry_on, has_budget;
    bool has_retries;            /* any of these, or retries.has_per_try: the same */
    struct retry_config retries; /* instead of the target's */
    bool has_limit_body;
    uint64_t limit_body_bytes; /* instead of the listener's */
    bool has_rate;
    struct {
        uint32_t requests, burst;
        bool has_burst; /* else as many as requests */
        uint64_t per_ms;
        enum rate_by by;
        struct rate *buckets; /* a reference; counted by all workers, and over reloads */
    } rate;
    struct edits request_headers, response_headers; /* what is changed on the way */
    struct rewrite rewrite;
    bool modifies_request; /* by request_headers or rewrite */
    bool modifies_answer;  /* by response_headers */
    bool has_body;
    struct {
        struct json_rule *rules; /* the body is JSON, of which all of these hold */
        size_t n_rules;
        uint64_t max_bytes;
        struct json_rules *ready; /* owned: these rules, made ready; NULL without has_body */
        struct route_answer deny; /* to what they refuse */
    } body;
    struct route_answer respond; /* ROUTE_RESPOND */
    struct route_answer deny;    /* ROUTE_DENY */
    struct {
        uint32_t status;           /* 301, 302, 303, 307 or 308 */
        struct template *location; /* owned */
        bool secret;               /* a variable stands in it */
    } redirect;                    /* ROUTE_REDIRECT */
    uint64_t digest;               /* of what the file says of it, and of the content of an answer's file */
    struct series *series;         /* as a target's */
};

/* Whose word about a client a target gets: what peers claim (proxy/http/claims.def) and what we say. */
enum listener_forwarded {
    FORWARDED_REPLACE, /* only ours */
    FORWARDED_APPEND,  /* every peer's, and ours */
    FORWARDED_OFF,     /* nobody's */
    FORWARDED_TRUST,   /* that of some peers, and ours */
};

/* One socket that porthole serves. */
struct listener_config {
    char *name; /* as given, or the bind text */
    size_t index;
    struct address bind; /* unix, abstract or tcp */
    mode_t mode;
    uint32_t owner, group; /* OWNER_UNCHANGED when not given */
    bool has_directory_mode;
    mode_t directory_mode; /* the directory is created with it when absent; when given and present, set */
    uint32_t backlog;
    struct peer_rule *peers; /* NULL and 0: every peer the socket's mode lets in */
    size_t n_peers;
    struct peer_rule *denied; /* before all others */
    size_t n_denied;
    enum listener_forwarded forwarded;
    bool trace;                /* traceparent is passed on with a span of ours, or begun */
    struct peer_rule *trusted; /* FORWARDED_TRUST: who is */
    size_t n_trusted;
    uint32_t limit_connections;
    uint32_t limit_connections_per_uid; /* of Unix peers */
    uint64_t limit_header_bytes;        /* request line and fields together */
    uint64_t limit_body_bytes;          /* SIZE_UNLIMITED */
    uint64_t timeout_head_ms, timeout_body_ms, timeout_idle_ms;
    bool has_pages;
    char **redact;   /* of admin listeners: names of fields that taps do not show, NULL-terminated; NULL: none */
    bool unredacted; /* who asks for it is shown them, and all others */
    unsigned pages;  /* a bit for each enum page_id; 0: it is no admin listener. Those have no routes and no stream */
    const struct target_config *stream;  /* bytes go there as they are, without HTTP; NULL: routes decide */
    const struct target_config *observe; /* where requests go that the routes refuse; NULL: they are refused */
    struct route_config *routes;
    size_t n_routes;         /* at least 1; 0 with stream */
    bool any_path_condition; /* some route has path, path_prefix or path_regex */
    bool any_query_condition;
    bool any_query_secret;               /* one compares with what a variable or a file holds */
    bool takes_all;                      /* the only route has no condition */
    struct route_index *index_of_routes; /* owned; NULL: they are few */
    struct series *series, *no_route;    /* as a target's; of what no route is found for */
};

struct log_config {
    enum log_level level;
    enum log_format format; /* of the error log */
    bool access;            /* write an access log */
    enum log_format access_format;
    char *access_to; /* "stdout", "stderr" or an absolute path */
    struct log_choice choice;
};

/* Rights that porthole gives up once its sockets are there. */
struct sandbox_config {
    bool landlock, seccomp;
};

struct snapshot {
    atomic_uint references;
    char *source;                  /* the file's name as given; for messages */
    char sha256[SHA256_HEX_BYTES]; /* of the file's bytes */
    struct timespec modified;      /* when the file was, 0 when it was none */
    uint32_t n_workers;            /* "auto" is already resolved */
    uint64_t shutdown_delay_ms;    /* how long a stop serves on before it drains */
    uint64_t drain_ms;             /* how long a stop waits for exchanges */
    uint64_t limit_memory_bytes;   /* limits.memory: LIMIT_MEMORY_AUTO, UINT64_MAX: unlimited */
    bool watch;                    /* whether it is replaced when the files that it was read from change */
    struct log_config log;
    struct sandbox_config sandbox;
    bool has_user_names;   /* of users or groups, which stand in /etc/passwd and /etc/group */
    bool has_auto_workers; /* their number was asked of the system */
    struct listener_config *listeners;
    size_t n_listeners;            /* at least 1 */
    struct listener_config *admin; /* those with pages; their indices go on behind the others' */
    size_t n_admin;
    struct target_config *targets;
    size_t n_targets;
    char **secrets; /* absolute paths of the files that templates refer to, by template_piece.file */
    size_t n_secrets;
    struct written_list written; /* values with variables in them */
    size_t edit_bytes; /* what a route adds to a request's head at most, but for references without a bound; 0: no route
                          changes a message */
};

/* All sockets that are served: listeners, then those with pages, by listener_config.index. */
static inline size_t snapshot_n_sockets(const struct snapshot *snapshot)
{
    return snapshot->n_listeners + snapshot->n_admin;
}

static inline struct listener_config *snapshot_socket(const struct snapshot *snapshot, size_t index)
{
    return index < snapshot->n_listeners ? &snapshot->listeners[index]
                                         : &snapshot->admin[index - snapshot->n_listeners];
}

/* Workers that there may ever be, with that of admin listeners, which is the last: they may come by a reload. */
static inline size_t snapshot_most_workers(const struct snapshot *snapshot)
{
    return (size_t)snapshot->n_workers + 1;
}

/* Takes another reference and returns the same pointer. */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* Gives one back; the last one frees everything. Takes NULL. Always returns NULL. */
struct snapshot *snapshot_unref(struct snapshot *snapshot);

#endif
