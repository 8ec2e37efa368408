#include "config/keys.h"

#include <stddef.h>

#include "config/keys_scope.h"
#include "config/pages.h"
#include "config/snapshot.h"

/* A row: KEY("mode", MODE, struct listener_config, mode, more members). */
#define KEY(key_name, key_type, section, field, ...)                                                \
    {                                                                                               \
        .name = (key_name), .type = KEY_##key_type, .offset = offsetof(section, field), __VA_ARGS__ \
    }
/* One whose default, bounds and sentence are a row of limits.def. */
#define KEY_LIMIT(key_name, key_type, id, section, field, ...) \
    KEY(key_name, key_type, section, field, .limit = &limits[LIMIT_##id], __VA_ARGS__)
/* An inner object. */
#define KEY_INNER(key_name, table, ...)                                       \
    {                                                                         \
        .name = (key_name), .type = KEY_SECTION, .keys = (table), __VA_ARGS__ \
    }
/* Elements that are sections of their own. */
#define KEY_ELEMENTS(key_name, key_type, section, field, n_field, table, ...)    \
    KEY(key_name, key_type, section, field, .count = offsetof(section, n_field), \
        .size = sizeof(*((section *)0)->field), .keys = (table), __VA_ARGS__)

#define LOG_FIELD(id, name) " " name
static const char keys_all_log_fields[] =
#include "config/log_fields.def"
    ;
#undef LOG_FIELD

static const struct key keys_access[] = {
    KEY("format", WORD, struct snapshot, log.access_format, .words = log_format_names, .fallback = "plain",
        .sentence = "how its lines are written"),
    KEY("to", LOG_PLACE, struct snapshot, log.access_to, .fallback = "stdout",
        .sentence = "\"stdout\", \"stderr\" or an absolute path"),
    KEY("only", WORD, struct snapshot, log.choice.only, .words = log_only_names, .fallback = "all",
        .sentence = "which exchanges have a line: \"failures\" are those that failed or were answered with 500 to 599"),
    KEY_LIMIT("sample", COUNT, LOG_SAMPLE, struct snapshot, log.choice.sample),
    KEY("fields", WORD_SET, struct snapshot, log.choice.fields, .words = log_field_names,
        .fallback = keys_all_log_fields, .sentence = "what a line tells beside its time"),
    KEYS_END,
};

static const struct key keys_log[] = {
    KEY("level", WORD, struct snapshot, log.level, .words = log_level_names, .fallback = "info",
        .sentence = "the least severe lines of the error log"),
    KEY("format", WORD, struct snapshot, log.format, .words = log_format_names, .fallback = "plain",
        .sentence = "of the error log, which goes to standard error"),
    KEY("access", SWITCH, struct snapshot, log.access, .keys = keys_access, .fallback = "false",
        .sentence = "the access log: one line for each exchange"),
    KEYS_END,
};

static const struct key keys_sandbox[] = {
    KEY("landlock", BOOL, struct snapshot, sandbox.landlock, .fallback = "true",
        .sentence = "only what the configuration names can be opened, made and connected to"),
    KEY("seccomp", BOOL, struct snapshot, sandbox.seccomp, .fallback = "true",
        .sentence = "only calls of the kernel that serving needs"),
    KEYS_END,
};

static const struct key keys_rule[] = {
    KEY("uid", UID, struct peer_rule, uid, .has_flag = true, .flag = offsetof(struct peer_rule, has_uid),
        .sentence = "the peer's user"),
    KEY("gid", GID, struct peer_rule, gid, .has_flag = true, .flag = offsetof(struct peer_rule, has_gid),
        .sentence = "one of the peer's groups, supplementary ones too"),
    KEYS_END,
};

static const struct key keys_peers[] = {
    KEY_ELEMENTS("allow", RULES, struct listener_config, peers, n_peers, keys_rule,
                 .sentence = "only a peer that fits one of these may connect"),
    KEY_ELEMENTS("deny", RULES, struct listener_config, denied, n_denied, keys_rule,
                 .sentence = "a peer that fits one of these may not, whatever else fits"),
    KEYS_END,
};

static const char *const keys_forwarded_words[] = {
    [FORWARDED_REPLACE] = "replace", [FORWARDED_APPEND] = "append", [FORWARDED_OFF] = "off", NULL};

static const struct key keys_trust[] = {
    KEY_ELEMENTS("trust", RULES, struct listener_config, trusted, n_trusted, keys_rule, .required = true,
                 .scope = &keys_scope_peers,
                 .sentence = "\"append\" for a peer that fits one of these, \"replace\" for all others"),
    KEYS_END,
};

static const struct key keys_listener_limits[] = {
    KEY_LIMIT("connections", COUNT, CONNECTIONS, struct listener_config, limit_connections),
    KEY_LIMIT("connections_per_uid", COUNT, CONNECTIONS_PER_UID, struct listener_config, limit_connections_per_uid,
              .scope = &keys_scope_peers),
    KEY_LIMIT("header", SIZE, HEADER, struct listener_config, limit_header_bytes, .scope = &keys_scope_http),
    KEY_LIMIT("body", SIZE, BODY, struct listener_config, limit_body_bytes, .scope = &keys_scope_http),
    KEYS_END,
};

static const struct key keys_listener_timeouts[] = {
    KEY_LIMIT("head", DURATION, HEAD_TIMEOUT, struct listener_config, timeout_head_ms),
    KEY_LIMIT("body", DURATION, BODY_TIMEOUT, struct listener_config, timeout_body_ms),
    KEY_LIMIT("idle", DURATION, IDLE_TIMEOUT, struct listener_config, timeout_idle_ms),
    KEYS_END,
};

static const struct key keys_stream[] = {
    KEY("target", STREAM_TARGET, struct listener_config, stream, .required = true,
        .sentence = "a name from targets, or the address of one with all defaults"),
    KEYS_END,
};

static const struct key keys_match_peers[] = {
    KEY_ELEMENTS("allow", RULES, struct route_config, peers, n_peers, keys_rule,
                 .sentence = "the peer fits one of these"),
    KEY_ELEMENTS("deny", RULES, struct route_config, denied, n_denied, keys_rule,
                 .sentence = "the peer fits none of these, whatever else fits"),
    KEYS_END,
};

static const struct key keys_match[] = {
    KEY("methods", METHODS, struct route_config, methods, .sentence = "the request's method is one of these"),
    KEY("path", PATH, struct route_config, path, .sentence = "the path is this one"),
    KEY("path_prefix", PATH, struct route_config, path_prefix,
        .sentence = "the path begins with it, on segment boundaries: /a covers /a and /a/b"),
    KEY("host", HOST_PATTERN, struct route_config, host,
        .sentence = "a name without a port; *.NAME matches every name below NAME"),
    KEY("path_regex", PATH_PATTERN, struct route_config, path_regex,
        .sentence = "the whole path fits this regular expression (PCRE2)"),
    KEY("headers", FIELD_CONDITIONS, struct route_config, headers, .count = offsetof(struct route_config, n_headers),
        .sentence = "by name: the value of the field, {\"regex\": ...} or {\"present\": true or false}"),
    KEY("query", QUERY_CONDITIONS, struct route_config, queries, .count = offsetof(struct route_config, n_queries),
        .sentence = "the same of the query's parameters"),
    KEY_INNER("peers", keys_match_peers, .sentence = "who asks"),
    KEYS_END,
};

static const struct key keys_respond[] = {
    KEY_LIMIT("status", COUNT, RESPOND_STATUS, struct route_config, respond.status, .required = true),
    KEY("body", TEXT, struct route_config, respond.body, .fallback = "", .scope = &keys_scope_no_file,
        .sentence = "what is answered"),
    KEY("file", CONTENT_FILE, struct route_config, respond.file,
        .sentence = "a file with what is answered, read with the configuration; at most 1 MiB"),
    KEY("content_type", MEDIA_TYPE, struct route_config, respond.content_type, .fallback = "text/plain; charset=utf-8",
        .sentence = "the Content-Type of the answer"),
    KEYS_END,
};

static const char keys_deny_sentence[] =
    "what is answered; default: a problem (RFC 9457) with the outcome and the request's id";

static const struct key keys_deny[] = {
    KEY_LIMIT("status", COUNT, DENY_STATUS, struct route_config, deny.status),
    KEY("body", TEXT, struct route_config, deny.body, .sentence = keys_deny_sentence),
    KEY("content_type", MEDIA_TYPE, struct route_config, deny.content_type, .fallback = "text/plain; charset=utf-8",
        .sentence = "the Content-Type of body"),
    KEYS_END,
};

static const struct key keys_body_deny[] = {
    KEY_LIMIT("status", COUNT, DENY_STATUS, struct route_config, body.deny.status),
    KEY("body", TEXT, struct route_config, body.deny.body, .sentence = keys_deny_sentence),
    KEY("content_type", MEDIA_TYPE, struct route_config, body.deny.content_type,
        .fallback = "text/plain; charset=utf-8", .sentence = "the Content-Type of body"),
    KEYS_END,
};

static const struct key keys_redirect[] = {
    KEY_LIMIT("status", COUNT, REDIRECT_STATUS, struct route_config, redirect.status),
    KEY("location", LOCATION, struct route_config, redirect.location, .required = true,
        .sentence = "where to: a path, or a URL of http or https; may have ${request.host}, ${request.path} and "
                    "${request.query}"),
    KEYS_END,
};

static const struct key keys_rewrite[] = {
    KEY("strip_prefix", PATH, struct route_config, rewrite.strip_prefix,
        .sentence = "is taken off the beginning of the path, on segment boundaries; a path without it stays as it is"),
    KEY("add_prefix", PATH, struct route_config, rewrite.add_prefix, .sentence = "is put in front of what is left"),
    KEY("regex", PATH_PATTERN, struct route_config, rewrite.regex,
        .sentence = "a path that fits this regular expression (PCRE2) as a whole becomes what to says; another stays"),
    KEY("to", REWRITE_TO, struct route_config, rewrite.to,
        .sentence = "the new path; $1 to $9 are what the groups of regex have caught, $$ is a $"),
    KEYS_END,
};

static const struct key keys_request_headers[] = {
    KEY("set", REQUEST_FIELDS, struct route_config, request_headers.set,
        .sentence = "values by name, each instead of every line that a client sends under that name"),
    KEY("add", REQUEST_FIELDS, struct route_config, request_headers.add,
        .sentence = "values by name, each behind what a client sends"),
    KEY("remove", REQUEST_NAMES, struct route_config, request_headers.remove,
        .sentence = "names of fields that the target does not get"),
    KEYS_END,
};

static const struct key keys_response_headers[] = {
    KEY("set", RESPONSE_FIELDS, struct route_config, response_headers.set,
        .sentence = "values by name, each instead of every line that the target sends under that name"),
    KEY("add", RESPONSE_FIELDS, struct route_config, response_headers.add,
        .sentence = "values by name, each behind what the target sends"),
    KEY("remove", RESPONSE_NAMES, struct route_config, response_headers.remove,
        .sentence = "names of fields that the client does not get"),
    KEYS_END,
};

#define KEY_ROUTE_TIME(key_name, id, word)                                                                       \
    KEY_LIMIT(key_name, DURATION, id, struct route_config, times.word##_ms, .inherited = true, .has_flag = true, \
              .flag = offsetof(struct route_config, has_##word##_time))

static const struct key keys_route_timeouts[] = {
    KEY_ROUTE_TIME("response", RESPONSE_TIMEOUT, response),
    KEY_ROUTE_TIME("idle", TARGET_IDLE_BODY, idle),
    KEY_ROUTE_TIME("tunnel", TUNNEL_TIMEOUT, tunnel),
    KEYS_END,
};

static const struct key keys_route_limits[] = {
    KEY_LIMIT("body", SIZE, BODY, struct route_config, limit_body_bytes, .inherited = true, .has_flag = true,
              .flag = offsetof(struct route_config, has_limit_body)),
    KEYS_END,
};

static const char *const keys_rate_words[] = {[RATE_BY_ROUTE] = "route", [RATE_BY_UID] = "uid", NULL};

static const struct key keys_rate[] = {
    KEY_LIMIT("requests", COUNT, RATE_REQUESTS, struct route_config, rate.requests, .required = true),
    KEY_LIMIT("per", DURATION, RATE_PER, struct route_config, rate.per_ms),
    KEY_LIMIT("burst", COUNT, RATE_BURST, struct route_config, rate.burst, .inherited = true, .has_flag = true,
              .flag = offsetof(struct route_config, rate.has_burst)),
    KEY("by", WORD, struct route_config, rate.by, .words = keys_rate_words, .fallback = "route",
        .sentence = "\"route\" counts all together, \"uid\" each user of a Unix socket"),
    KEYS_END,
};

static const struct key keys_body_rule[] = {
    KEY("at", JSON_POINTER, struct json_rule, at, .required = true,
        .sentence =
            "a pointer (RFC 6901) to what the rule is about; \"*\" stands for each element of an array, \"\" is "
            "the document"),
    KEY("optional", BOOL, struct json_rule, optional, .fallback = "false",
        .sentence = "whether it will do that nothing is there"),
    KEY("equals", JSON_VALUE, struct json_rule, equals, .count = offsetof(struct json_rule, n_equals),
        .sentence = "it is this: null, a boolean, an integer, a string, [] or {}"),
    KEY("in", JSON_VALUES, struct json_rule, in, .count = offsetof(struct json_rule, n_in),
        .sentence = "it is one of these"),
    KEY("prefix", PREFIXES, struct json_rule, prefixes,
        .sentence = "it is a path, or one followed by a colon and more, that is one of these or below"),
    KEY("regex", PATTERN, struct json_rule, regex,
        .sentence = "it is a string that fits this regular expression (PCRE2) as a whole"),
    KEY("at_least", INTEGER, struct json_rule, least, .has_flag = true, .flag = offsetof(struct json_rule, has_least),
        .sentence = "it is an integer, and not less than this"),
    KEY("at_most", INTEGER, struct json_rule, most, .has_flag = true, .flag = offsetof(struct json_rule, has_most),
        .sentence = "it is an integer, and not more than this"),
    KEY("keys", JSON_KEYS, struct json_rule, keys, .sentence = "it is an object that has no keys but these"),
    KEY("absent", BOOL, struct json_rule, absent, .fallback = "false", .has_flag = true,
        .flag = offsetof(struct json_rule, absent), .sentence = "true: nothing is there"),
    KEYS_END,
};

static const struct key keys_body[] = {
    KEY_ELEMENTS("json", BODY_RULES, struct route_config, body.rules, body.n_rules, keys_body_rule, .required = true,
                 .sentence = "rules on a JSON document, all of which must hold"),
    KEY_LIMIT("max", SIZE, BODY_RULES, struct route_config, body.max_bytes),
    {.name = "deny",
     .type = KEY_BODY_DENY,
     .keys = keys_body_deny,
     .sentence = "how a request is refused that a rule refuses"},
    KEYS_END,
};

static const char *const keys_ambiguity_words[] = {
    [ROUTE_AMBIGUITY_REFUSE] = "refuse", [ROUTE_AMBIGUITY_ALLOW] = "allow", NULL};

static const char *const keys_retry_words[] = {[RETRY_CONNECT] = "connect", [RETRY_REUSED] = "reused_connection",
                                               [RETRY_502] = "502",         [RETRY_503] = "503",
                                               [RETRY_504] = "504",         NULL};

#define KEYS_RETRY_SENTENCE                                                                                         \
    "when: an endpoint cannot be connected to, a kept connection turns out dead, or an idempotent request without " \
    "a body would be answered so"

static const struct key keys_route_retries[] = {
    KEY_LIMIT("attempts", COUNT, RETRY_ATTEMPTS, struct route_config, retries.attempts, .inherited = true,
              .has_flag = true, .flag = offsetof(struct route_config, has_attempts)),
    KEY("on", WORD_SET, struct route_config, retries.on, .words = keys_retry_words, .has_flag = true,
        .flag = offsetof(struct route_config, has_retry_on), .sentence = KEYS_RETRY_SENTENCE),
    KEY_LIMIT("budget", FRACTION, RETRY_BUDGET, struct route_config, retries.budget_milli, .inherited = true,
              .has_flag = true, .flag = offsetof(struct route_config, has_budget)),
    KEY_LIMIT("per_try", DURATION, RETRY_PER_TRY, struct route_config, retries.per_try_ms, .inherited = true,
              .has_flag = true, .flag = offsetof(struct route_config, retries.has_per_try)),
    KEYS_END,
};

static const struct key keys_route[] = {
    KEY("name", NAME, struct route_config, name, .sentence = "in logs; default: LISTENER#N"),
    KEY_INNER("match", keys_match, .sentence = "every condition that is given must hold"),
    KEY("target", ROUTE_TARGET, struct route_config, target,
        .sentence = "a name from targets, or the address of one with all defaults"),
    {.name = "respond",
     .type = KEY_RESPOND,
     .keys = keys_respond,
     .scope = &keys_scope_responds,
     .sentence = "an answer without a target"},
    {.name = "deny",
     .type = KEY_DENY,
     .keys = keys_deny,
     .scope = &keys_scope_denies,
     .sentence = "a refusal, which has an outcome of its own and a line in the error log"},
    KEY("upgrade", PROTOCOLS, struct route_config, upgrade, .scope = &keys_scope_forwards,
        .sentence = "the protocols that clients may upgrade to, by name and without versions; an empty array: none; "
                    "absent: any that does not carry HTTP itself (h2c, h2, HTTP, TLS)"),
    KEY("path_ambiguity", WORD, struct route_config, path_ambiguity, .words = keys_ambiguity_words,
        .fallback = "refuse",
        .sentence = "whether paths that could mean another one to the target are let through here; \"allow\" only on "
                    "the last route"),
    {.name = "redirect",
     .type = KEY_REDIRECT,
     .keys = keys_redirect,
     .scope = &keys_scope_redirects,
     .sentence = "sends the client elsewhere"},
    {.name = "rewrite",
     .type = KEY_REWRITE,
     .keys = keys_rewrite,
     .scope = &keys_scope_forwards,
     .sentence = "another path for the target: by prefixes, or by a pattern"},
    {.name = "request_headers",
     .type = KEY_REQUEST_HEADERS,
     .keys = keys_request_headers,
     .scope = &keys_scope_forwards,
     .sentence = "what is changed about the fields of a request"},
    {.name = "response_headers",
     .type = KEY_RESPONSE_HEADERS,
     .keys = keys_response_headers,
     .sentence = "what is changed about the fields of an answer"},
    KEY_INNER("retries", keys_route_retries, .scope = &keys_scope_forwards,
              .sentence = "what is not given here is as the target has it"),
    KEY_INNER("timeouts", keys_route_timeouts, .scope = &keys_scope_forwards,
              .sentence = "how long the target may take, where it is not as long as the target says"),
    KEY_INNER("limits", keys_route_limits, .sentence = "what one request may use"),
    {.name = "rate",
     .type = KEY_RATE,
     .keys = keys_rate,
     .has_flag = true,
     .flag = offsetof(struct route_config, has_rate),
     .sentence = "how many requests, counted over all workers; more are answered with 429"},
    {.name = "body",
     .type = KEY_BODY,
     .keys = keys_body,
     .scope = &keys_scope_forwards,
     .has_flag = true,
     .flag = offsetof(struct route_config, has_body),
     .sentence = "what must be true of the body, which is held until that was judged; without one, or with one that is "
                 "not JSON, a request is refused"},
    KEYS_END,
};

/* What a socket that is served is, and who may connect; mode_id is the row of limits.def with the mode of its file. */
#define KEYS_SOCKET(mode_id)                                                                              \
    KEY("name", NAME, struct listener_config, name, .sentence = "in logs; default: the text of bind"),    \
        KEY("bind", BIND, struct listener_config, bind, .required = true,                                 \
            .sentence = "unix:/PATH, unix:@NAME, tcp:HOST:PORT or fd:NAME"),                              \
        KEY_LIMIT("mode", MODE, mode_id, struct listener_config, mode, .scope = &keys_scope_file),        \
        KEY("owner", USER, struct listener_config, owner, .scope = &keys_scope_file,                      \
            .sentence = "user of the socket file: a number or a name of /etc/passwd; default: ours"),     \
        KEY("group", GROUP, struct listener_config, group, .scope = &keys_scope_file,                     \
            .sentence = "group of the socket file: a number or a name of /etc/group; default: ours"),     \
        KEY_LIMIT("directory_mode", MODE, DIRECTORY_MODE, struct listener_config, directory_mode,         \
                  .scope = &keys_scope_file, .has_flag = true,                                            \
                  .flag = offsetof(struct listener_config, has_directory_mode)),                          \
        KEY_LIMIT("backlog", COUNT, BACKLOG, struct listener_config, backlog, .scope = &keys_scope_made), \
        KEY_INNER("peers", keys_peers, .scope = &keys_scope_peers,                                        \
                  .sentence = "who may connect, by the credentials of the peer; abstract sockets need an allow")

static const struct key keys_listener[] = {
    KEYS_SOCKET(SOCKET_MODE),
    KEY("forwarded", CHOICE, struct listener_config, forwarded, .words = keys_forwarded_words, .keys = keys_trust,
        .fallback = "replace", .scope = &keys_scope_http,
        .sentence = "whose word about a client the target gets (X-Forwarded-* and others): \"replace\" only ours, "
                    "\"append\" also what a peer says about itself, \"off\" nobody's"),
    KEY("trace", BOOL, struct listener_config, trace, .fallback = "false", .scope = &keys_scope_http,
        .sentence = "traceparent goes on with a span of ours, or begins, and stands in the access log"),
    KEY_INNER("limits", keys_listener_limits, .sentence = "what one listener or request may use"),
    KEY_INNER("timeouts", keys_listener_timeouts, .scope = &keys_scope_http_time,
              .sentence = "how long a client may take"),
    KEY("observe", ROUTE_TARGET, struct listener_config, observe, .scope = &keys_scope_http,
        .sentence = "for trying rules: a request that is denied or finds no route goes to this target, and is logged"),
    KEY_ELEMENTS("routes", ROUTES, struct listener_config, routes, n_routes, keys_route,
                 .sentence = "the first that matches wins"),
    KEY_INNER("stream", keys_stream,
              .sentence = "carries the bytes of every connection as they are, without HTTP; instead of routes"),
    KEYS_END,
};

static const struct key keys_admin_limits[] = {
    KEY_LIMIT("connections", COUNT, ADMIN_CONNECTIONS, struct listener_config, limit_connections),
    KEY_LIMIT("connections_per_uid", COUNT, CONNECTIONS_PER_UID, struct listener_config, limit_connections_per_uid,
              .scope = &keys_scope_peers),
    KEY_LIMIT("header", SIZE, HEADER, struct listener_config, limit_header_bytes),
    KEY_LIMIT("body", SIZE, BODY, struct listener_config, limit_body_bytes),
    KEYS_END,
};

static const struct key keys_admin[] = {
    KEYS_SOCKET(ADMIN_MODE),
    KEY("redact", REQUEST_NAMES, struct listener_config, redact,
        .sentence = "fields whose values a tap does not show, besides those that are secret by their names"),
    KEY("unredacted", BOOL, struct listener_config, unredacted, .fallback = "false",
        .sentence = "who asks for it (porthole tap --no-redact) is shown all values"),
    KEY("pages", WORD_SET, struct listener_config, pages, .words = page_names, .has_flag = true,
        .flag = offsetof(struct listener_config, has_pages),
        .sentence = "which there are; default: all, of a TCP listener only healthz, readyz and metrics"),
    KEY_INNER("limits", keys_admin_limits, .sentence = "what one listener or request may use"),
    KEY_INNER("timeouts", keys_listener_timeouts, .sentence = "how long a client may take"),
    KEYS_END,
};

static const struct key keys_target_connections[] = {
    KEY_LIMIT("max", COUNT, TARGET_CONNECTIONS, struct target_config, connections_max),
    KEY_LIMIT("idle", COUNT, TARGET_IDLE, struct target_config, connections_idle),
    KEY_LIMIT("queue", COUNT, TARGET_QUEUE, struct target_config, connections_queue),
    KEY_LIMIT("idle_timeout", DURATION, TARGET_IDLE_TIMEOUT, struct target_config, connections_idle_timeout_ms),
    KEY_LIMIT("max_age", DURATION, TARGET_MAX_AGE, struct target_config, connections_max_age_ms),
    KEYS_END,
};

static const struct key keys_target_timeouts[] = {
    KEY_LIMIT("connect", DURATION, CONNECT_TIMEOUT, struct target_config, connect_timeout_ms),
    KEY_LIMIT("response", DURATION, RESPONSE_TIMEOUT, struct target_config, times.response_ms),
    KEY_LIMIT("idle", DURATION, TARGET_IDLE_BODY, struct target_config, times.idle_ms),
    KEY_LIMIT("tunnel", DURATION, TUNNEL_TIMEOUT, struct target_config, times.tunnel_ms),
    KEYS_END,
};

static const struct key keys_resolve[] = {
    KEY_LIMIT("every", DURATION, RESOLVE_EVERY, struct target_config, resolve_every_ms),
    KEY("all", BOOL, struct target_config, resolve_all, .fallback = "false",
        .sentence = "each address of a host name is an endpoint of its own, with the weight of the name"),
    KEYS_END,
};

static const struct key keys_target_retries[] = {
    KEY_LIMIT("attempts", COUNT, RETRY_ATTEMPTS, struct target_config, retries.attempts),
    KEY("on", WORD_SET, struct target_config, retries.on, .words = keys_retry_words,
        .fallback = "connect reused_connection", .sentence = KEYS_RETRY_SENTENCE),
    KEY_LIMIT("budget", FRACTION, RETRY_BUDGET, struct target_config, retries.budget_milli),
    KEY_LIMIT("per_try", DURATION, RETRY_PER_TRY, struct target_config, retries.per_try_ms, .inherited = true,
              .has_flag = true, .flag = offsetof(struct target_config, retries.has_per_try)),
    KEYS_END,
};

static const char *const keys_tls_versions[] = {[TLS_VERSION_1_2] = "1.2", [TLS_VERSION_1_3] = "1.3", NULL};

static const struct key keys_tls[] = {
    KEY("ca", FILE, struct target_config, tls.ca,
        .sentence = "certificates of the authorities that are trusted; default: the system's"),
    KEY("cert", FILE, struct target_config, tls.cert, .sentence = "our certificate; with key"),
    KEY("key", FILE, struct target_config, tls.key, .sentence = "the private key of cert"),
    KEY("server_name", HOST_NAME, struct target_config, tls.server_name,
        .sentence = "the name that the certificate must be for; default: the endpoint's host"),
    KEY("min_version", WORD, struct target_config, tls.min_version, .words = keys_tls_versions, .fallback = "1.2",
        .sentence = "the oldest version of TLS that is spoken"),
    KEY("verify", BOOL, struct target_config, tls.verify, .fallback = "true",
        .sentence = "false accepts every certificate"),
    KEYS_END,
};

static const struct key keys_endpoint[] = {
    KEY("address", ENDPOINT, struct endpoint_config, address, .required = true, .sentence = "where it is"),
    KEY_LIMIT("weight", COUNT, WEIGHT, struct endpoint_config, weight),
    KEYS_END,
};

const char *const keys_balance_words[] = {
    [BALANCE_ROUND_ROBIN] = "round_robin",
    [BALANCE_LEAST_CONNECTIONS] = "least_connections",
    [BALANCE_RANDOM] = "random",
    [BALANCE_FAILOVER] = "failover",
    NULL,
};

static const struct key keys_health[] = {
    KEY("path", ORIGIN_FORM, struct target_config, health.path,
        .sentence = "what is asked for, with GET; default: nothing, a connection will do"),
    KEY("host", HOST_NAME, struct target_config, health.host,
        .sentence = "the Host of that request; default: the endpoint's"),
    KEY("status", STATUSES, struct target_config, health.status, .fallback = "2xx",
        .sentence = "the statuses of a good answer: one (204), a class (2xx) or a range (200-399)"),
    KEY_LIMIT("interval", DURATION, HEALTH_INTERVAL, struct target_config, health.interval_ms),
    KEY_LIMIT("timeout", DURATION, HEALTH_TIMEOUT, struct target_config, health.timeout_ms),
    KEY_LIMIT("rise", COUNT, HEALTH_RISE, struct target_config, health.rise),
    KEY_LIMIT("fall", COUNT, HEALTH_FALL, struct target_config, health.fall),
    KEYS_END,
};

static const struct key keys_eject[] = {
    KEY_LIMIT("failures", COUNT, EJECT_FAILURES, struct target_config, eject.failures),
    KEY_LIMIT("for", DURATION, EJECT_FOR, struct target_config, eject.for_ms),
    KEY_LIMIT("most", FRACTION, EJECT_MOST, struct target_config, eject.most),
    KEY("server_errors", BOOL, struct target_config, eject.server_errors, .fallback = "false",
        .sentence = "whether an answer with a status of 500 to 599 is a failure, too"),
    KEYS_END,
};

const struct key keys_target[] = {
    KEY_ELEMENTS("endpoints", ENDPOINTS, struct target_config, endpoints, n_endpoints, keys_endpoint, .required = true,
                 .sentence = "where it can be reached: addresses, or objects with an address and a weight"),
    KEY("balance", WORD, struct target_config, balance, .words = keys_balance_words, .fallback = "round_robin",
        .sentence = "which endpoint is next: each in its turn, the one with the fewest connections for its weight, the "
                    "better of two that are drawn, or the first that works"),
    KEY_INNER("connections", keys_target_connections, .sentence = "the pool of connections"),
    KEY_INNER("timeouts", keys_target_timeouts, .sentence = "how long the target may take"),
    KEY_LIMIT("hold", DURATION, HOLD, struct target_config, hold_ms),
    KEY_INNER("retries", keys_target_retries, .sentence = "when a request is sent again"),
    KEY_INNER("resolve", keys_resolve, .sentence = "the host names of endpoints"),
    KEY_INNER("tls", keys_tls, .scope = &keys_scope_tls, .sentence = "for https endpoints only"),
    {.name = "health",
     .type = KEY_HEALTH,
     .keys = keys_health,
     .has_flag = true,
     .flag = offsetof(struct target_config, has_health),
     .sentence = "endpoints are checked, used or not"},
    KEY("eject", SWITCH, struct target_config, ejects, .keys = keys_eject, .fallback = "true",
        .sentence = "whether an endpoint that fails again and again is left out for a time, where there are several"),
    KEYS_END,
};

static const struct key keys_shutdown[] = {
    KEY_LIMIT("delay", DURATION, SHUTDOWN_DELAY, struct snapshot, shutdown_delay_ms),
    KEYS_END,
};

static const struct key keys_limits[] = {
    KEY_LIMIT("memory", MEMORY, MEMORY, struct snapshot, limit_memory_bytes),
    KEYS_END,
};

/* In the order in which they are read: listeners refer to targets. */
const struct key keys_document[] = {
    {.name = "$schema", .type = KEY_IGNORED, .sentence = "where the schema is, for editors"},
    KEY_LIMIT("workers", WORKERS, WORKERS, struct snapshot, n_workers),
    KEY_LIMIT("drain", DURATION, DRAIN, struct snapshot, drain_ms),
    KEY_INNER("shutdown", keys_shutdown, .sentence = "what comes before the drain of a stop"),
    KEY_INNER("limits", keys_limits, .sentence = "what the whole process may take"),
    KEY("watch", BOOL, struct snapshot, watch, .fallback = "true",
        .sentence = "whether a configuration that has changed is reloaded without being asked to"),
    KEY_INNER("log", keys_log, .sentence = "the error log and the access log"),
    KEY_INNER("sandbox", keys_sandbox, .sentence = "rights that are given up once the sockets are there"),
    KEY_ELEMENTS("targets", TARGETS, struct snapshot, targets, n_targets, keys_target,
                 .sentence = "where requests go, by name"),
    KEY_ELEMENTS("admin", ADMIN, struct snapshot, admin, n_admin, keys_admin,
                 .sentence = "the sockets on which porthole tells of itself, and is told what to do"),
    KEY_ELEMENTS("listeners", LISTENERS, struct snapshot, listeners, n_listeners, keys_listener, .required = true,
                 .sentence = "the sockets that are served"),
    KEYS_END,
};
