#include "proxy/exchange/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PIECE_BYTES (34 * 1024)      /* of a body, chunk head included */
#define EARLY_MORE_BYTES (16 * 1024) /* what the library's memory has beyond two heads, or is added to one */

/* What we add to a head, what is gathered behind it, and one more piece of body or the trailers. */
static size_t exchange_out_bytes(size_t header_bytes)
{
    return header_bytes + 4096 + REQUEST_HALF_GATHER_BYTES + (header_bytes > PIECE_BYTES ? header_bytes : PIECE_BYTES);
}

size_t exchange_heads_bytes(size_t header_bytes)
{
    return 2 * header_bytes > EXCHANGE_HEADS_LEAST_BYTES ? 2 * header_bytes : EXCHANGE_HEADS_LEAST_BYTES;
}

int exchange_env_renew(struct exchange_env *env, struct generation *generation)
{
    size_t header_bytes = generation->header_bytes;
    char *scratch;

    /* Sizes only grow: exchanges of the generation before may go on. */
    if (2 * header_bytes > env->path_scratch_bytes) {
        scratch = realloc(env->path_scratch, 2 * header_bytes);
        if (!scratch)
            return -ENOMEM;
        env->path_scratch = scratch;
        env->path_scratch_bytes = 2 * header_bytes;
    }
    if (!env->patterns)
        env->patterns = pattern_memory_new();
    if (!env->patterns)
        return -ENOMEM;
    upstream_store_grow(&env->store, exchange_out_bytes(header_bytes), exchange_heads_bytes(header_bytes));
    /* A response head; and the library has at most its pool's size of a client's early bytes. */
    tunnels_grow(&env->tunnels, exchange_heads_bytes(header_bytes) + EARLY_MORE_BYTES);
    generation_ref(generation);
    generation_unref(env->generation);
    env->generation = generation;
    return 0;
}

/* Not a secret, only different from every other porthole's. */
static void exchange_env_begin_ids(struct exchange_env *env)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t prefix;

    if (getrandom(&prefix, sizeof(prefix), GRND_NONBLOCK) != (ssize_t)sizeof(prefix))
        prefix = wall_time_now().ns;
    memset(env->id, '0', ID_BYTES);
    for (size_t i = 0; i < ID_BYTES / 2; i++)
        env->id[i] = digits[prefix >> (4 * i) & 15];
}

int exchange_env_init(struct exchange_env *env, struct generation *generation)
{
    upstream_store_init(&env->store, exchange_out_bytes(generation->header_bytes),
                        exchange_heads_bytes(generation->header_bytes));
    env->tunnels.loop = env->loop;
    env->tunnels.recorder = &env->recorder;
    tunnels_init(&env->tunnels);
    list_init(&env->ready);
    exchange_env_begin_ids(env);
    return exchange_env_renew(env, generation);
}

void exchange_env_deinit(struct exchange_env *env)
{
    tunnels_deinit(&env->tunnels);
    while (env->spare) {
        struct exchange_spare *spare = env->spare;

        env->spare = spare->next;
        free(spare);
    }
    upstream_store_deinit(&env->store);
    free(env->path_scratch);
    pattern_memory_free(env->patterns);
    env->generation = generation_unref(env->generation);
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
