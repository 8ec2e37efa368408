/* One run of explain: what is known of the request, and of what becomes of it. */
#ifndef PORTHOLE_CMD_EXPLANATION_H
#define PORTHOLE_CMD_EXPLANATION_H

#include "proxy/base/secret.h"
#include "proxy/exchange/route.h"
#include "proxy/report/outcome.h"

#define EXPLANATION_HEAD_BYTES (128u * 1024)
#define EXPLAIN_MOST_FIELDS 100
#define EXPLAIN_MOST_GROUPS 64

/* The request, and who asks. All is borrowed. */
struct explain_ask {
    const char *line;     /* "METHOD TARGET" */
    const char *listener; /* its name; NULL: the first that has routes */
    uid_t uid;
    gid_t gids[EXPLAIN_MOST_GROUPS]; /* the first is the primary one */
    size_t n_gids;
    const char *fields[EXPLAIN_MOST_FIELDS]; /* "Name: value" */
    size_t n_fields;
    const char *body; /* a file that holds it; NULL: the rules on bodies are not asked */
};

/* On explain's stack. */
struct explanation {
    const struct explain_ask *ask;
    const struct snapshot *snapshot;
    const struct listener_config *listener;
    struct request request;
    struct field items[EXPLAIN_MOST_FIELDS + 2]; /* and Host, and Content-Length */
    char content_length[40];                     /* the latter */
    struct text body;                            /* owned; of NULL: not given */
    struct route_question question;
    bool unix_peer;
    struct template_values values; /* of conditions: what files hold */
    struct secret secret;          /* the file that was looked at last */
};

/* Tells what a request ends as (status 0: the outcome's own; why NULL: its sentence). Always CMD_FAILED. */
int explanation_refuse(enum outcome outcome, unsigned status, const char *why);
/* Tells where one goes that would be refused (why; NULL: its route says so), where the listener only observes. The
 * route is NULL when none takes it. */
int explanation_observe(const struct explanation *explanation, const struct route_config *route, const char *why);
/* Tells what the route does with it. CMD_OK or CMD_FAILED, like the former. */
int explanation_act(const struct explanation *explanation, const struct route_config *route);

#endif
