#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/address.h"
#include "config/sections.h"
#include "proxy/base/words.h"

static void target_config_read_file(struct reader *reader, const struct place *at, const json_t *value,
                                    const struct key *key, void *out)
{
    const char *path;
    int fd;

    reader_absolute_path(reader, at, value, key, out);
    path = *(char **)out;
    if (!path)
        return;
    /* Opened rather than asked about, so that what is told is what libcurl will meet; a FIFO must not block us. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        reader_problem(reader, at, "cannot read %s as uid %u: %s", WORDS_SHOW(path), (unsigned)geteuid(),
                       strerror(errno));
    else
        close(fd);
}

static void target_config_read_server_name(struct reader *reader, const struct place *at, const json_t *value,
                                           const struct key *key UNUSED, void *out)
{
    const char *name = reader_text(reader, at, value, "a host name");
    size_t length = name ? strlen(name) : 0;

    if (!name)
        return;
    if (length < 1 || length > 253 ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") != length)
        reader_problem_type(reader, at, value, "a host name");
    else
        reader_copy(reader, name, out);
}

/* Keeps one endpoint and where it stands. */
static bool target_config_add_endpoint(struct reader *reader, const struct place *at, const char *text,
                                       struct target_config *target)
{
    struct error error = ERROR_INIT;
    struct address address;
    int r = address_parse(text, ADDRESS_TO_REACH, &address, &error);

    if (r > 0)
        reader_problem(reader, at, "\"%s\": %s", WORDS_SHOW(text), error.message);
    else if (r < 0)
        reader->failure = r;
    if (r != 0)
        return false;
    target->endpoints = reader_memory(reader, calloc(1, sizeof(*target->endpoints)));
    if (!target->endpoints) {
        address_deinit(&address);
        return false;
    }
    target->endpoints[0] = address;
    target->n_endpoints = 1;
    reader->target_pointers[target->index] = reader_pointer(reader, at);
    return true;
}

static void target_config_read_endpoints(struct reader *reader, const struct place *at, const json_t *value,
                                         const struct key *key UNUSED, void *out)
{
    static const char expected[] = "an array with exactly one address (this version has one endpoint per target)";
    struct target_config *target = out;
    struct place place = {.parent = at};
    const json_t *first = json_array_get(value, 0);
    const char *text;

    if (!json_is_array(value)) {
        reader_problem_type(reader, at, value, expected);
    } else if (json_array_size(value) != 1) {
        reader_problem(reader, at, "expected %s, got an array of %zu", expected, json_array_size(value));
    } else {
        text = reader_text(reader, &place, first, "an address");
        if (text)
            target_config_add_endpoint(reader, &place, text, target);
    }
}

static const struct key target_config_connections_keys[] = {
    KEY_LIMIT("max", TARGET_CONNECTIONS, struct target_config, connections_max),
    KEY_LIMIT("idle", TARGET_IDLE, struct target_config, connections_idle),
    KEY_LIMIT("idle_timeout", TARGET_IDLE_TIMEOUT, struct target_config, connections_idle_timeout_ms),
    KEYS_END,
};

static const struct key target_config_timeouts_keys[] = {
    KEY_LIMIT("connect", CONNECT_TIMEOUT, struct target_config, connect_timeout_ms),
    KEY_LIMIT("response", RESPONSE_TIMEOUT, struct target_config, response_timeout_ms),
    KEY_LIMIT("idle", TARGET_IDLE_BODY, struct target_config, idle_timeout_ms),
    KEY_LIMIT("tunnel", TUNNEL_TIMEOUT, struct target_config, tunnel_timeout_ms),
    KEYS_END,
};

static const struct key target_config_tls_keys[] = {
    KEY("ca", target_config_read_file, struct target_config, tls.ca),
    KEY("cert", target_config_read_file, struct target_config, tls.cert),
    KEY("key", target_config_read_file, struct target_config, tls.key),
    KEY("server_name", target_config_read_server_name, struct target_config, tls.server_name),
    KEY("verify", reader_bool, struct target_config, tls.verify),
    KEYS_END,
};

static const struct key target_config_keys[] = {
    {.name = "endpoints", .read = target_config_read_endpoints, .required = true},
    KEY_OBJECT("connections", target_config_connections_keys),
    KEY_OBJECT("timeouts", target_config_timeouts_keys),
    KEY_OBJECT("tls", target_config_tls_keys),
    KEY_LATER("balance"),
    KEY_LATER("hold"),
    KEY_LATER("retries"),
    KEY_LATER("health"),
    KEY_LATER("eject"),
    KEYS_END,
};

/* Takes the next free place in the snapshot, with defaults. */
static struct target_config *target_config_append(struct reader *reader, const char *name)
{
    struct snapshot *snapshot = reader->snapshot;
    struct target_config *target = &snapshot->targets[snapshot->n_targets];

    reader_copy(reader, name, &target->name);
    if (json_object_set_new(reader->targets_by_name, name, json_integer((json_int_t)snapshot->n_targets)) != 0)
        reader->failure = -ENOMEM;
    target->index = snapshot->n_targets++;
    target->tls.verify = true;
    reader_defaults(target_config_keys, target);
    return target;
}

/* No more can be idle than there are. A default adapts; what somebody wrote is not changed in silence. */
static void target_config_check_idle(struct reader *reader, const struct place *at, const json_t *connections,
                                     struct target_config *target)
{
    const struct place place = {at, "connections", 0};

    if (target->connections_idle <= target->connections_max)
        return;
    if (json_object_get(connections, "idle"))
        reader_problem(reader, &place, "\"idle\" (%u) is more than \"max\" (%u)", target->connections_idle,
                       target->connections_max);
    else
        target->connections_idle = target->connections_max;
}

/* What the keys of one target must be together. */
static void target_config_check(struct reader *reader, const struct place *at, const json_t *value,
                                struct target_config *target)
{
    const json_t *tls = json_object_get(value, "tls");
    const struct place place = {at, "tls", 0};
    bool cert = json_object_get(tls, "cert");
    bool key = json_object_get(tls, "key");

    if (tls && target->n_endpoints == 1 && target->endpoints[0].kind != ADDRESS_HTTPS)
        reader_problem_key(reader, &place, "\"tls\" needs an https:// endpoint; this one is %s",
                           WORDS_SHOW(target->endpoints[0].text));
    if (cert != key)
        reader_problem(reader, &place, "\"%s\" needs \"%s\" beside it", cert ? "cert" : "key", cert ? "key" : "cert");
    target_config_check_idle(reader, at, json_object_get(value, "connections"), target);
}

static void target_config_read(struct reader *reader, const struct place *at, const json_t *value)
{
    struct target_config *target = target_config_append(reader, at->key);

    if (!reader_name_is_valid(at->key))
        reader_problem_key(reader, at, "a target's name has 1 to 64 letters, digits, \"_\", \".\" or \"-\"");
    reader_object(reader, at, value, target_config_keys, target);
    target_config_check(reader, at, value, target);
}

void target_config_read_all(struct reader *reader, const json_t *targets, size_t n_inline_max)
{
    const struct place at = {NULL, "targets", 0};
    size_t n_max = json_object_size(targets) + n_inline_max;
    struct snapshot *snapshot = reader->snapshot;
    const char *name;
    json_t *value;

    /* One block for all, so that routes can point into it while it fills. */
    snapshot->targets = reader_memory(reader, calloc(n_max + 1, sizeof(*snapshot->targets)));
    reader->target_pointers = reader_memory(reader, calloc(n_max + 1, sizeof(*reader->target_pointers)));
    if (!targets || reader->failure)
        return;
    if (!json_is_object(targets)) {
        reader_problem_type(reader, &at, targets, "an object that gives each target a name");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)targets, name, value)
    {
        struct place place = {&at, name, 0};
        target_config_read(reader, &place, value);
    }
}

/* Says which targets there are, or which one was probably meant. */
static void target_config_unknown(struct reader *reader, const struct place *at, const char *name)
{
    const struct snapshot *snapshot = reader->snapshot;
    /* Nothing is compared for what nobody will be shown. */
    const char **names = problems_are_full(reader->problems) ? NULL : calloc(snapshot->n_targets + 1, sizeof(*names));
    const char *near = NULL;
    size_t n = 0;

    for (size_t i = 0; names && i < snapshot->n_targets; i++) {
        if (snapshot->targets[i].name && reader_name_is_valid(snapshot->targets[i].name))
            names[n++] = snapshot->targets[i].name;
    }
    if (names)
        near = words_nearest(name, names);
    if (near)
        reader_problem(reader, at, "there is no target \"%s\": did you mean \"%s\"?", WORDS_SHOW(name), near);
    else
        reader_problem(reader, at, "there is no target \"%s\"; expected a name from \"targets\" or an address",
                       WORDS_SHOW(name));
    free(names);
}

/* An address says by its scheme what is spoken there, so it must be what its user speaks. Unix sockets say nothing. */
static void target_config_check_use(struct reader *reader, const struct place *at, const struct target_config *target,
                                    enum target_use use)
{
    const struct address *endpoint = target->endpoints;
    const char *left, *right;

    /* One that could not be read is reported already. */
    if (target->n_endpoints == 0)
        return;
    left = strchr(endpoint->name, ':') ? "[" : "";
    right = strchr(endpoint->name, ':') ? "]" : "";
    if (use == TARGET_FOR_ROUTE && endpoint->kind == ADDRESS_TCP)
        reader_problem(reader, at, "the target's endpoint %s is for streams; for a route write http://%s%s%s:%u",
                       WORDS_SHOW(endpoint->text), left, endpoint->name, right, (unsigned)endpoint->port);
    if (use == TARGET_FOR_STREAM && (endpoint->kind == ADDRESS_HTTP || endpoint->kind == ADDRESS_HTTPS))
        reader_problem(reader, at, "the target's endpoint %s is for routes; for a stream write tcp:%s%s%s:%u%s",
                       WORDS_SHOW(endpoint->text), left, endpoint->name, right, (unsigned)endpoint->port,
                       endpoint->kind == ADDRESS_HTTPS ? " (a stream gets no TLS)" : "");
}

/* A target that has no name but its address; NULL with a problem. */
static struct target_config *target_config_add_inline(struct reader *reader, const struct place *at, const char *text)
{
    struct target_config *target;

    if (!strchr(text, ':') && text[0] != '/' && text[0] != '@') {
        target_config_unknown(reader, at, text);
        return NULL;
    }
    target = target_config_append(reader, text);
    return target_config_add_endpoint(reader, at, text, target) ? target : NULL;
}

const struct target_config *target_config_resolve(struct reader *reader, const struct place *at, const char *text,
                                                  enum target_use use)
{
    const json_t *index = json_object_get(reader->targets_by_name, text);
    const struct target_config *target;

    if (index)
        target = &reader->snapshot->targets[json_integer_value(index)];
    else
        target = target_config_add_inline(reader, at, text);
    if (target)
        target_config_check_use(reader, at, target, use);
    return target;
}
