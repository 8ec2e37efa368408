#include "config/route_index.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/http/path.h"

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)
#define HASH_STEP UINT64_C(0x100000001b3)
#define NO_ROUTE UINT32_MAX

enum key_kind { KEY_OF_NO_PATH, KEY_OF_PATH, KEY_OF_PREFIX };

/* What a route is found under. Texts are borrowed from the routes, or from a request. */
struct route_key {
    enum key_kind kind;
    struct text host; /* in any case; "": any. ".example.org" for "*.example.org" */
    bool below;       /* every name below it */
    struct text path;
    uint64_t path_hash;
};

struct route_slot {
    uint32_t first; /* NO_ROUTE: free */
    uint32_t last;
    uint64_t hash;
};

struct route_index {
    const struct route_config *routes;
    size_t n_slots; /* a power of two, at least twice as many as routes */
    struct route_slot *slots;
    uint32_t *next;         /* of the same key, by route */
    uint32_t *prefix_bytes; /* the different lengths of prefixes, ascending */
    size_t n_prefix_bytes;
    bool any_host, any_below; /* some route asks for a host; for every name below one */
};

/* FNV-1a, in lower case where `fold` says so. */
static uint64_t hash_text(uint64_t hash, struct text text, unsigned char fold)
{
    for (size_t i = 0; i < text.length; i++)
        hash = (hash ^ ((unsigned char)text.data[i] | fold)) * HASH_STEP;
    return hash;
}

static uint64_t key_hash(const struct route_key *key)
{
    /* Folding by one bit makes more bytes equal than case does, which costs a comparison. */
    uint64_t hash = hash_text(key->path_hash ^ key->kind ^ (uint64_t)key->below << 8, key->host, 0x20);

    return hash ^ hash >> 32;
}

static struct route_key key_of_route(const struct route_config *route)
{
    struct route_key key = {.kind = KEY_OF_NO_PATH, .path_hash = HASH_BEGIN};

    if (route->path || route->path_prefix) {
        key.kind = route->path ? KEY_OF_PATH : KEY_OF_PREFIX;
        key.path = text_of(route->path ? route->path : route->path_prefix);
        key.path_hash = hash_text(HASH_BEGIN, key.path, 0);
    }
    key.below = route->host && route->host[0] == '*';
    if (route->host)
        key.host = text_of(route->host + key.below);
    return key;
}

static bool key_equal(const struct route_key *a, const struct route_key *b)
{
    return a->kind == b->kind && a->below == b->below && text_equal(a->path, b->path) &&
           text_equal_nocase(a->host, b->host);
}

/* The slot of a key, or the free one where it would be. */
static struct route_slot *index_find(const struct route_index *index, const struct route_key *key)
{
    uint64_t hash = key_hash(key);

    for (size_t i = hash & (index->n_slots - 1);; i = (i + 1) & (index->n_slots - 1)) {
        struct route_slot *slot = &index->slots[i];
        struct route_key there;

        if (slot->first == NO_ROUTE)
            return slot;
        if (slot->hash != hash)
            continue;
        there = key_of_route(&index->routes[slot->first]);
        if (key_equal(&there, key))
            return slot;
    }
}

static void index_add(struct route_index *index, uint32_t number)
{
    struct route_key key = key_of_route(&index->routes[number]);
    struct route_slot *slot = index_find(index, &key);

    index->next[number] = NO_ROUTE;
    if (slot->first == NO_ROUTE) {
        *slot = (struct route_slot){number, number, key_hash(&key)};
    } else {
        index->next[slot->last] = number;
        slot->last = number;
    }
    if (key.host.length > 0)
        *(key.below ? &index->any_below : &index->any_host) = true;
}

static int index_compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static void index_collect_lengths(struct route_index *index, size_t n_routes)
{
    size_t n = 0;

    for (size_t i = 0; i < n_routes; i++)
        if (!index->routes[i].path && index->routes[i].path_prefix)
            index->prefix_bytes[n++] = (uint32_t)strlen(index->routes[i].path_prefix);
    qsort(index->prefix_bytes, n, sizeof(*index->prefix_bytes), index_compare);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || index->prefix_bytes[i] != index->prefix_bytes[i - 1])
            index->prefix_bytes[index->n_prefix_bytes++] = index->prefix_bytes[i];
}

struct route_index *route_index_new(const struct route_config *routes, size_t n_routes)
{
    struct route_index *index = calloc(1, sizeof(*index));

    if (!index)
        return NULL;
    index->routes = routes;
    for (index->n_slots = 16; index->n_slots < 2 * n_routes;)
        index->n_slots *= 2;
    index->slots = calloc(index->n_slots, sizeof(*index->slots));
    index->next = calloc(n_routes, sizeof(*index->next));
    index->prefix_bytes = calloc(n_routes, sizeof(*index->prefix_bytes));
    if (!index->slots || !index->next || !index->prefix_bytes) {
        route_index_free(index);
        return NULL;
    }
    for (size_t i = 0; i < index->n_slots; i++)
        index->slots[i].first = NO_ROUTE;
    for (size_t i = 0; i < n_routes; i++)
        index_add(index, (uint32_t)i);
    index_collect_lengths(index, n_routes);
    return index;
}

void route_index_free(struct route_index *index)
{
    if (!index)
        return;
    free(index->slots);
    free(index->next);
    free(index->prefix_bytes);
    free(index);
}

/* ---- candidates ---- */

static void walk_add(struct route_walk *walk, const struct route_key *key)
{
    const struct route_slot *slot;

    if (!walk->index)
        return;
    slot = index_find(walk->index, key);
    if (slot->first == NO_ROUTE)
        return;
    if (walk->n_lists == ROUTE_WALK_MOST)
        walk->index = NULL;
    else
        walk->lists[walk->n_lists++] = slot->first;
}

/* The same path for every host that the request's could be found under. */
static void walk_add_hosts(struct route_walk *walk, struct route_key *key, struct text host)
{
    key->host = (struct text){NULL, 0};
    key->below = false;
    walk_add(walk, key);
    if (!walk->index || host.length == 0)
        return;
    key->host = host;
    if (walk->index->any_host)
        walk_add(walk, key);
    key->below = true;
    for (size_t i = 1; walk->index && walk->index->any_below && i < host.length; i++) {
        if (host.data[i] != '.')
            continue;
        key->host = (struct text){host.data + i, host.length - i};
        walk_add(walk, key);
    }
}

static void walk_add_prefixes(struct route_walk *walk, struct text host, struct text path)
{
    const struct route_index *index = walk->index;
    struct route_key key = {.kind = KEY_OF_PREFIX, .path_hash = HASH_BEGIN};
    size_t hashed = 0;

    for (size_t i = 0; walk->index && i < index->n_prefix_bytes && index->prefix_bytes[i] <= path.length; i++) {
        key.path = (struct text){path.data, index->prefix_bytes[i]};
        key.path_hash = hash_text(key.path_hash, (struct text){path.data + hashed, key.path.length - hashed}, 0);
        hashed = key.path.length;
        if (path_has_prefix(path, key.path))
            walk_add_hosts(walk, &key, host);
    }
}

void route_walk_begin(struct route_walk *walk, const struct listener_config *listener, struct text host,
                      struct text path)
{
    struct route_key key = {.kind = KEY_OF_NO_PATH, .path_hash = HASH_BEGIN};

    walk->index = listener->index_of_routes;
    walk->n_routes = listener->n_routes;
    walk->next = 0;
    walk->n_lists = 0;
    if (!walk->index)
        return;
    walk_add_hosts(walk, &key, host);
    if (path.length == 0)
        return;
    walk_add_prefixes(walk, host, path);
    key = (struct route_key){.kind = KEY_OF_PATH, .path = path, .path_hash = hash_text(HASH_BEGIN, path, 0)};
    walk_add_hosts(walk, &key, host);
}

size_t route_walk_next(struct route_walk *walk)
{
    size_t least = ROUTE_WALK_MOST;

    if (!walk->index)
        return walk->next < walk->n_routes ? walk->next++ : ROUTE_INDEX_NONE;
    for (size_t i = 0; i < walk->n_lists; i++)
        if (walk->lists[i] != NO_ROUTE && (least == ROUTE_WALK_MOST || walk->lists[i] < walk->lists[least]))
            least = i;
    if (least == ROUTE_WALK_MOST)
        return ROUTE_INDEX_NONE;
    walk->next = walk->lists[least];
    walk->lists[least] = walk->index->next[walk->next];
    return walk->next;
}
