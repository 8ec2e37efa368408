/* The clock is read with the lock held: whoever reads later never sees less. */
#include "proxy/base/spell.h"

#include <assert.h>

void spell_init(struct spell *spell)
{
    *spell = (struct spell){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void spell_deinit(struct spell *spell)
{
    pthread_mutex_destroy(&spell->lock);
}

void spell_begin(struct spell *spell)
{
    pthread_mutex_lock(&spell->lock);
    if (spell->n++ == 0)
        spell->since = instant_now();
    pthread_mutex_unlock(&spell->lock);
}

void spell_end(struct spell *spell)
{
    pthread_mutex_lock(&spell->lock);
    assert(spell->n > 0);
    if (--spell->n == 0)
        spell->ns += instant_now().ns - spell->since.ns;
    pthread_mutex_unlock(&spell->lock);
}

uint64_t spell_ns(struct spell *spell)
{
    uint64_t ns;

    pthread_mutex_lock(&spell->lock);
    ns = spell->ns + (spell->n > 0 ? instant_now().ns - spell->since.ns : 0);
    pthread_mutex_unlock(&spell->lock);
    return ns;
}
