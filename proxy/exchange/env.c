#include "proxy/exchange/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proxy/base/give_back.h"

#define MOST_SPARE 64
#define MANY_EXCHANGES 64            /* at once: what they leave is worth being looked for */
#define PIECE_BYTES (34 * 1024)      /* of a body, chunk head included */
#define EARLY_MORE_BYTES (16 * 1024) /* what the library's memory has beyond two heads, or is added to one */

/* Of a body still to come: from here on splice(2) saves more than it costs (tests/bench/run.sh --case down64k). Test
 * builds set another, for all. */
#ifdef PORTHOLE_BULK_BYTES
#define BULK_TCP_BYTES PORTHOLE_BULK_BYTES
#define BULK_CHUNK_BYTES PORTHOLE_BULK_BYTES
#else
#define PORTHOLE_BULK_BYTES (8u * 1024)
#define BULK_TCP_BYTES (32u * 1024)
#define BULK_CHUNK_BYTES (64u * 1024)
#endif

/* What we add to a head and what routes do, what is gathered behind it, and one more piece of body or the trailers. */
size_t exchange_out_bytes(size_t header_bytes, size_t edit_bytes)
{
    return header_bytes + 4096 + edit_bytes + REQUEST_HALF_GATHER_BYTES +
           (header_bytes > PIECE_BYTES ? header_bytes : PIECE_BYTES);
}

size_t exchange_heads_bytes(size_t header_bytes)
{
    return 2 * header_bytes > EXCHANGE_HEADS_LEAST_BYTES ? 2 * header_bytes : EXCHANGE_HEADS_LEAST_BYTES;
}

/* Grows what paths and queries are matched in, and what edits are expanded in. 0 or -ENOMEM. */
static int exchange_grow(char **block, size_t *size, size_t bytes)
{
    char *grown;

    if (bytes <= *size)
        return 0;
    grown = realloc(*block, bytes);
    if (!grown)
        return -ENOMEM;
    *block = grown;
    *size = bytes;
    return 0;
}

/* What a head may be given: of requests as much as there is room for behind the client's, of answers as much as both
 * heads have. */
static size_t exchange_edit_bytes(const struct generation *generation)
{
    size_t heads = exchange_heads_bytes(generation->header_bytes);

    if (generation->edit_bytes == 0)
        return 0;
    return generation->edit_bytes > heads ? generation->edit_bytes : heads;
}

int exchange_env_grow(struct exchange_env *env, const struct generation *generation)
{
    size_t header_bytes = generation->header_bytes;

    /* Sizes only grow: exchanges of the generation before may go on. */
    if (exchange_grow(&env->path_scratch, &env->path_scratch_bytes, 2 * header_bytes) < 0 ||
        exchange_grow(&env->edit_scratch, &env->edit_scratch_bytes, exchange_edit_bytes(generation)) < 0)
        return -ENOMEM;
    if (!env->patterns)
        env->patterns = pattern_memory_new();
    if (!env->patterns)
        return -ENOMEM;
    upstream_store_grow(&env->store, exchange_out_bytes(header_bytes, generation->edit_bytes),
                        exchange_heads_bytes(header_bytes));
    /* A response head; and the library has at most its pool's size of a client's early bytes. */
    tunnels_grow(&env->tunnels, exchange_heads_bytes(header_bytes) + EARLY_MORE_BYTES);
    return 0;
}

void exchange_env_renew(struct exchange_env *env, struct generation *generation)
{
    struct generation *old = env->generation;

    env->generation = generation_ref(generation);
    generation_unref(old);
    generation_take_effect(generation);
}

/* Not a secret, only different from every other porthole's. */
static void exchange_env_begin_ids(struct exchange_env *env)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t prefix;

    if (getrandom(&prefix, sizeof(prefix), GRND_NONBLOCK) != (ssize_t)sizeof(prefix))
        prefix = wall_time_now().ns;
    env->spans.state = prefix ^ wall_time_now().ns;
    memset(env->id, '0', ID_BYTES);
    for (size_t i = 0; i < ID_BYTES / 2; i++)
        env->id[i] = digits[prefix >> (4 * i) & 15];
}

int exchange_env_init(struct exchange_env *env, struct generation *generation)
{
    upstream_store_init(&env->store, exchange_out_bytes(generation->header_bytes, generation->edit_bytes),
                        exchange_heads_bytes(generation->header_bytes));
    buffer_store_init(&env->exchanges, 0, MOST_SPARE); /* whoever makes the first knows how large they are */
    env->tunnels.loop = env->loop;
    env->tunnels.recorder = &env->recorder;
    tunnels_init(&env->tunnels);
    env->bulk_bytes = PORTHOLE_BULK_BYTES;
    env->bulk_tcp_bytes = BULK_TCP_BYTES;
    env->bulk_chunk_bytes = BULK_CHUNK_BYTES;
    list_init(&env->ready);
    exchange_env_begin_ids(env);
    if (exchange_env_grow(env, generation) < 0) {
        exchange_env_deinit(env);
        return -ENOMEM;
    }
    exchange_env_renew(env, generation);
    return 0;
}

void exchange_env_give_back(struct exchange_env *env)
{
    buffer_store_empty(&env->exchanges);
    upstream_store_empty(&env->store);
    buffer_store_empty(&env->tunnels.blocks);
}

void exchange_env_deinit(struct exchange_env *env)
{
    tunnels_deinit(&env->tunnels);
    exchange_env_give_back(env);
    upstream_store_deinit(&env->store);
    free(env->path_scratch);
    free(env->edit_scratch);
    pattern_memory_free(env->patterns);
    free(env->judging);
    env->generation = generation_unref(env->generation);
}

/* A heap keeps what was freed between what is in use. Looking for it takes a millisecond for some ten MiB. */
void exchange_env_rest(struct exchange_env *env)
{
    size_t n_lately = env->exchanges.n_most;

    buffer_store_rest(&env->exchanges);
    upstream_store_rest(&env->store);
    buffer_store_rest(&env->tunnels.blocks);
    if (env->n_most < n_lately)
        env->n_most = n_lately;
    if (env->n_most < MANY_EXCHANGES || n_lately > env->n_most / 2)
        return;
    give_back_free_memory();
    env->n_most = n_lately;
}

/* Half of an id is the worker's, the other half counts: as text, so that the next one costs a digit or two. */
void exchange_env_make_id(struct exchange_env *env, char id[ID_BYTES])
{
    size_t i = ID_BYTES - 1;

    for (; i > ID_BYTES / 2 && env->id[i] == 'f'; i--)
        env->id[i] = '0';
    env->id[i] = env->id[i] == '9' ? 'a' : (char)(env->id[i] + 1);
    memcpy(id, env->id, ID_BYTES);
}
