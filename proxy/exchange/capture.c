#include "proxy/exchange/capture.h"

#include <stdlib.h>
#include <string.h>

struct capture *capture_free(struct capture *capture)
{
    if (!capture)
        return NULL;
    free((char *)capture->message.request_fields.data);
    free((char *)capture->message.response_fields.data);
    free((char *)capture->message.request_body.data);
    free((char *)capture->message.response_body.data);
    free(capture);
    return NULL;
}

/* Whether a route compares the field with a text of the configuration, which may well be a key; with a pattern only
 * where a variable stands in it. */
static bool capture_is_compared(const struct exchange *exchange, struct text name)
{
    const struct listener_config *listener = exchange->client->listener;

    for (size_t i = 0; i < listener->n_routes; i++) {
        const struct route_config *route = &listener->routes[i];

        for (size_t j = 0; j < route->n_headers; j++)
            if ((route->headers[j].kind == CONDITION_EQUALS || route->headers[j].secret) &&
                field_is_spelling_of(name, text_of(route->headers[j].name)))
                return true;
    }
    return false;
}

static bool capture_is_in(const struct edit_list *list, struct text name)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (list->items[i].secret && text_equal_nocase(name, text_of(list->items[i].name)))
            return true;
    return false;
}

/* Whether what a variable or a file holds stands in a field of the answer, or may. */
static bool capture_is_expanded(const struct exchange *exchange, struct text name)
{
    const struct route_config *route = exchange->route;

    if (!route)
        return false;
    if (route->action == ROUTE_REDIRECT && route->redirect.secret && text_equal_nocase(name, TEXT_LITERAL("Location")))
        return true;
    return capture_is_in(&route->response_headers.set, name) || capture_is_in(&route->response_headers.add, name);
}

/* Whether the answer's body is one of the configuration's in which a variable stands. */
static bool capture_is_secret_body(const struct exchange *exchange, const char *body)
{
    const struct route_config *route = exchange->route;

    return route && body &&
           ((route->respond.secret && body == route->respond.body) ||
            (route->deny.secret && body == route->deny.body) ||
            (route->body.deny.secret && body == route->body.deny.body));
}

/* Copies fields; an empty list where there is no memory for them. */
static struct tap_fields capture_fields(const struct exchange *exchange, const struct field *fields, size_t n,
                                        bool is_answer)
{
    size_t bytes = 0;
    char *data, *to;

    for (size_t i = 0; i < n; i++)
        if (!is_answer || !fields[i].drop)
            bytes += tap_field_bytes(&fields[i]);
    data = to = malloc(bytes > 0 ? bytes : 1);
    if (!data)
        return (struct tap_fields){NULL, 0};
    for (size_t i = 0; i < n; i++) {
        if (is_answer && fields[i].drop)
            continue;
        to = tap_field_put(to, &fields[i],
                           is_answer ? capture_is_expanded(exchange, fields[i].name)
                                     : capture_is_compared(exchange, fields[i].name));
    }
    return (struct tap_fields){data, bytes};
}

void capture_begin(struct exchange *exchange, uint32_t wanted)
{
    const struct fields *fields = &exchange->request.fields;
    struct capture *capture = calloc(1, sizeof(*capture));

    exchange->capture = capture;
    if (!capture)
        return;
    capture->message.wanted = wanted;
    capture->body_most = wanted >> TAP_BODY_SHIFT;
    if (wanted & TAP_WANTS_HEADS)
        capture->message.request_fields = capture_fields(exchange, fields->items, fields->n_items, false);
}

/* Up to what is wanted. */
static void capture_body(const struct capture *capture, struct text *body, const char *data, size_t length)
{
    size_t room = capture->body_most - body->length;
    size_t n = length < room ? length : room;
    char *grown;

    if (n == 0)
        return;
    grown = realloc((char *)body->data, body->length + n);
    if (!grown)
        return;
    memcpy(grown + body->length, data, n);
    body->data = grown;
    body->length += n;
}

void capture_request_body(struct capture *capture, const char *data, size_t length)
{
    capture_body(capture, &capture->message.request_body, data, length);
}

void capture_answer_body(struct capture *capture, const char *data, size_t length)
{
    capture_body(capture, &capture->message.response_body, data, length);
}

void capture_answer(const struct exchange *exchange, const struct answer *answer)
{
    struct capture *capture = exchange->capture;
    struct tap_message *message = &capture->message;

    free((char *)message->response_fields.data);
    free((char *)message->response_body.data);
    message->response_fields = (struct tap_fields){NULL, 0};
    message->response_body = (struct text){NULL, 0};
    if (capture->message.wanted & TAP_WANTS_HEADS)
        message->response_fields = capture_fields(exchange, answer->fields, answer->n_fields, true);
    if (answer->body == ANSWER_BUFFER && !exchange->request.is_head && !capture_is_secret_body(exchange, answer->data))
        capture_answer_body(capture, answer->data, (size_t)answer->length);
}
