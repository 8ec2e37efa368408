#include "proxy/reach/roster.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(TARGET_MOST_ENDPOINTS <= 64, "they are told by the bits of a number");

/* ---- addresses that come and go ---- */

/* False for one that no URL can have. */
static bool roster_format(const union address_of *address, char out[INET6_ADDRSTRLEN])
{
    if (address->any.sa_family == AF_INET)
        return inet_ntop(AF_INET, &address->four.sin_addr, out, INET6_ADDRSTRLEN);
    return address->six.sin6_scope_id == 0 && inet_ntop(AF_INET6, &address->six.sin6_addr, out, INET6_ADDRSTRLEN);
}

/* Keeps an endpoint as its target wants its connections kept. Where several share it, the one that took effect last has
 * the say, and nobody before that, but about one that is new. */
static void roster_configure(const struct roster *roster, struct endpoint *endpoint)
{
    const struct target_config *config = roster->config;

    if (endpoint->order > roster->order || (roster->order == 0 && endpoint->n_references > 1))
        return;
    endpoint->order = roster->order;
    pool_configure(&endpoint->pool, config->connections_idle, config->connections_idle_timeout_ms,
                   config->connections_max_age_ms);
    follow_every(&endpoint->follow, config->resolve_every_ms);
}

/* Takes over the reference. `text`: its address as this target has it, which may be spelled otherwise than the
 * endpoint's, if others have it, too. */
static void roster_seat(struct roster *roster, size_t index, struct endpoint *endpoint, const char *text,
                        uint32_t weight)
{
    const struct target_config *config = roster->config;

    roster_configure(roster, endpoint);
    roster->endpoints[index] = endpoint;
    if (config->series)
        roster->series[index] = series_find(config->series->book, SERIES_ENDPOINT, config->name, text);
    if (roster->series[index])
        atomic_fetch_add(&roster->series[index]->n_users, 1);
    if (roster->items)
        roster->items[index] = (struct balance_item){.weight = weight};
}

/* One address of a name as an endpoint, which is who the name is (TLS), and as it is written, which is the caller's.
 * NULL when out of memory. */
static struct endpoint *roster_find(struct roster_name *name, const char *text, char **ret_written)
{
    const struct target_config *target = name->roster->config;
    const struct address *config = &name->config->address;
    struct tls_config tls = target->tls;
    struct address address = {.kind = config->kind, .name = (char *)(uintptr_t)text, .port = config->port};
    const char *scheme = config->kind == ADDRESS_TCP ? "tcp:" : config->kind == ADDRESS_HTTP ? "http://" : "https://";
    struct endpoint *endpoint;

    if (!tls.server_name)
        tls.server_name = config->name;
    if (asprintf(&address.text, strchr(text, ':') ? "%s[%s]:%u" : "%s%s:%u", scheme, text, (unsigned)config->port) < 0)
        return NULL;
    endpoint = endpoints_find(name->roster->table, &address, &tls);
    if (endpoint)
        *ret_written = address.text;
    else
        free(address.text);
    return endpoint;
}

/* Where another endpoint may be better it matters how each does. One of which that is not known, for want of memory, is
 * taken for a good one. */
static void roster_ask_about(struct roster *roster, size_t index, const char *text)
{
    if (roster->standings)
        roster->standings[index] = standing_find(roster->all, roster->endpoints[index]->canonical, text);
}

/* Of those endpoints that may be chosen some may be ejected; there may be others of generations before. */
static void roster_count(const struct roster *roster)
{
    struct standing *chosen[TARGET_MOST_ENDPOINTS];
    size_t n = 0;

    for (size_t i = 0; i < roster->n; i++)
        if (roster_standing(roster, i) && roster->items[i].weight > 0)
            chosen[n++] = roster->standings[i];
    standings_choose(roster->all, chosen, n);
}

static bool roster_has(const struct addresses *known, const char *text)
{
    char one[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < known->n; i++)
        if (roster_format(&known->list[i], one) && strcmp(one, text) == 0)
            return true;
    return false;
}

static void roster_dismiss(struct roster *roster, size_t index)
{
    if (roster->series && roster->series[index]) {
        atomic_fetch_sub(&roster->series[index]->n_users, 1);
        roster->series[index] = NULL;
    }
    standing_unref(roster_standing(roster, index));
    if (roster->standings)
        roster->standings[index] = NULL;
    endpoint_unref(roster->endpoints[index]);
    roster->endpoints[index] = NULL;
}

/* Seats an address unless it is there, or there is no place. */
static void roster_admit(struct roster_name *name, const char *text)
{
    struct roster *roster = name->roster;
    size_t place = ROSTER_NOBODY;
    struct endpoint *endpoint;
    char *written;

    for (size_t i = name->first + 1; i < name->first + name->n; i++) {
        if (!roster->endpoints[i])
            place = place == ROSTER_NOBODY ? i : place;
        else if (strcmp(roster->endpoints[i]->address.name, text) == 0)
            return;
    }
    endpoint = place == ROSTER_NOBODY ? NULL : roster_find(name, text, &written);
    if (!endpoint)
        return;
    roster_seat(roster, place, endpoint, written, name->config->weight);
    roster_ask_about(roster, place, written);
    free(written);
}

static void roster_on_moved(struct follow *follow)
{
    struct roster_name *name = CONTAINER_OF(follow, struct roster_name, follow);
    struct roster *roster = name->roster;
    char text[INET6_ADDRSTRLEN];

    for (size_t i = name->first + 1; i < name->first + name->n; i++)
        if (roster->endpoints[i] && !roster_has(follow->known, roster->endpoints[i]->address.name))
            roster_dismiss(roster, i);
    for (size_t i = 0; i < follow->known->n; i++)
        if (roster_format(&follow->known->list[i], text))
            roster_admit(name, text);
    name->is_known = false;
    for (size_t i = name->first + 1; i < name->first + name->n; i++)
        name->is_known = name->is_known || roster->endpoints[i];
    if (roster->order > 0)
        roster_count(roster);
}

/* ---- life ---- */

static bool roster_spreads(const struct target_config *config, const struct endpoint_config *endpoint)
{
    return config->resolve_all && !address_is_unix(endpoint->address.kind) &&
           addresses_are_asked_for(endpoint->address.name);
}

/* Makes the places: those that are not configured are shared by the names. */
static int roster_make_places(struct roster *roster)
{
    const struct target_config *config = roster->config;
    bool wants_standings;
    size_t n_names = 0;

    assert(config->n_endpoints > 0);
    for (size_t i = 0; i < config->n_endpoints; i++)
        n_names += roster_spreads(config, &config->endpoints[i]);
    roster->n = n_names > 0 ? TARGET_MOST_ENDPOINTS : config->n_endpoints;
    wants_standings = roster->n > 1 && (config->ejects || config->has_health);
    roster->endpoints = calloc(roster->n, sizeof(struct endpoint *));
    roster->series = calloc(roster->n, sizeof(struct series *));
    roster->items = roster->n > 1 ? calloc(roster->n, sizeof(*roster->items)) : NULL;
    roster->names = n_names > 0 ? calloc(n_names, sizeof(*roster->names)) : NULL;
    roster->standings = wants_standings ? calloc(roster->n, sizeof(struct standing *)) : NULL;
    if (!roster->endpoints || !roster->series || (roster->n > 1 && !roster->items) ||
        (wants_standings && !roster->standings) || (n_names > 0 && !roster->names))
        return -ENOMEM;
    roster->n_names = n_names;
    return 0;
}

static void roster_spread(struct roster_name *name, struct roster *roster, const struct endpoint_config *config,
                          size_t first, size_t n)
{
    *name = (struct roster_name){.roster = roster, .config = config, .first = first, .n = n};
    follow_init(&name->follow, connector_desk(roster->table->connector), roster->table->loop, config->address.name,
                roster_on_moved);
}

static int roster_fill(struct roster *roster)
{
    const struct target_config *config = roster->config;
    size_t place = 0, n_more = roster->n_names > 0 ? (roster->n - config->n_endpoints) / roster->n_names : 0;
    size_t n_names = 0;

    for (size_t i = 0; i < config->n_endpoints; i++, place++) {
        const struct endpoint_config *one = &config->endpoints[i];
        struct endpoint *endpoint = endpoints_find(roster->table, &one->address, &config->tls);

        if (!endpoint)
            return -ENOMEM;
        roster_seat(roster, place, endpoint, one->address.text, one->weight);
        if (!roster_spreads(config, one)) {
            roster_ask_about(roster, place, one->address.text);
            continue;
        }
        assert(n_names < roster->n_names);
        roster_spread(&roster->names[n_names++], roster, one, place, 1 + n_more);
        place += n_more;
    }
    /* They may know at once. */
    for (size_t i = 0; i < roster->n_names; i++)
        follow_every(&roster->names[i].follow, config->resolve_every_ms);
    return 0;
}

int roster_init(struct roster *roster, const struct target_config *config, struct endpoints *table,
                struct standings *standings)
{
    int r;

    *roster = (struct roster){.config = config, .table = table, .all = standings};
    lots_init(&roster->lots);
    r = roster_make_places(roster);
    if (r == 0)
        r = roster_fill(roster);
    if (r < 0)
        roster_deinit(roster);
    return r;
}

void roster_deinit(struct roster *roster)
{
    for (size_t i = 0; i < roster->n_names; i++)
        follow_deinit(&roster->names[i].follow);
    for (size_t i = 0; roster->endpoints && i < roster->n; i++)
        roster_dismiss(roster, i);
    free(roster->standings);
    free(roster->names);
    free(roster->items);
    free(roster->series);
    free(roster->endpoints);
    *roster = (struct roster){.config = NULL};
}

void roster_take_effect(struct roster *roster)
{
    roster->order = ++roster->table->n_orders;
    for (size_t i = 0; i < roster->n; i++)
        if (roster->endpoints[i])
            roster_configure(roster, roster->endpoints[i]);
    roster_count(roster);
}

/* ---- the choice ---- */

static size_t roster_balance(struct roster *roster)
{
    return balance_choose(roster->config->balance, roster->items, roster->n, lots_draw(&roster->lots));
}

/* While some endpoints are out: those that are good first, the others for want of better ones. */
static __attribute__((noinline)) size_t roster_choose_by_standing(struct roster *roster)
{
    struct instant now = loop_now(roster->table->loop);
    int worst = STANDING_GOOD;
    uint64_t never = 0;

    for (size_t i = 0; i < roster->n; i++)
        never |= (uint64_t)roster->items[i].out << i;
    while (worst < N_STANDING_RANKS) {
        size_t index;

        for (size_t i = 0; i < roster->n; i++)
            roster->items[i].out =
                (never >> i & 1) || (roster->standings[i] && (int)standing_rank(roster->standings[i], now) > worst);
        index = roster_balance(roster);
        if (index == ROSTER_NOBODY)
            worst++;
        else if (worst > STANDING_GOOD || !roster->standings[index] || standing_claim(roster->standings[index], now))
            return index;
        /* Else somebody else has become its probe in this moment, and it is not a good one now. */
    }
    return ROSTER_NOBODY;
}

size_t roster_choose_of_several(struct roster *roster, uint64_t tried)
{
    size_t index;

    for (size_t i = 0; i < roster->n; i++) {
        const struct endpoint *endpoint = roster->endpoints[i];

        roster->items[i].out = !endpoint || (tried >> i & 1);
        if (endpoint)
            roster->items[i].load = site_n_busy(endpoint->site) + endpoint->n_connecting;
    }
    for (size_t i = 0; i < roster->n_names; i++)
        roster->items[roster->names[i].first].out |= roster->names[i].is_known;
    index = roster->standings && !standings_are_good(roster->all) ? roster_choose_by_standing(roster)
                                                                  : roster_balance(roster);
    if (index != ROSTER_NOBODY || roster->n_names == 0)
        return index;
    for (size_t i = 0; i < roster->n_names; i++)
        roster->items[roster->names[i].first].out = tried >> roster->names[i].first & 1;
    return roster_balance(roster);
}

void roster_doubt(struct roster *roster, size_t index)
{
    for (size_t i = 0; i < roster->n_names; i++) {
        struct roster_name *name = &roster->names[i];

        if (index <= name->first || index >= name->first + name->n || !name->follow.host)
            continue;
        resolver_doubt(name->follow.desk.resolver, name->follow.host, loop_now(name->follow.loop));
        follow_ask(&name->follow);
    }
}
