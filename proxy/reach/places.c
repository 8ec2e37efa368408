#include "proxy/reach/places.h"

#include "proxy/base/list.h"

const struct state_machine place_machine = {
    .name = "place",
    .n_states = N_PLACE_STATES,
    .states =
        {
            [PLACE_NONE] = {"NONE", STATE_BIT(PLACE_WAITING) | STATE_BIT(PLACE_HELD)},
            [PLACE_WAITING] = {"WAITING", STATE_BIT(PLACE_NONE) | STATE_BIT(PLACE_GIVEN) | STATE_BIT(PLACE_HELD)},
            [PLACE_GIVEN] = {"GIVEN", STATE_BIT(PLACE_NONE) | STATE_BIT(PLACE_HELD)},
            [PLACE_HELD] = {"HELD", STATE_BIT(PLACE_NONE)},
        },
};

static void place_move(struct place *place, enum place_state to)
{
    state_check(&place_machine, place->state, to);
    place->state = to;
}

static void places_lock(struct places *places)
{
    if (places->is_shared)
        pthread_mutex_lock(&places->lock);
}

static void places_unlock(struct places *places)
{
    if (places->is_shared)
        pthread_mutex_unlock(&places->lock);
}

/* With the lock held: plain, for others only look. */
static void places_count(atomic_uint *n, int more)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + (unsigned)more, memory_order_relaxed);
}

static uint32_t places_n_free(const struct places *places)
{
    uint32_t n_held = places_n_held(places);

    return n_held < places_most(places) ? places_most(places) - n_held : 0;
}

static void places_take(struct places *places, struct share *share)
{
    share->n_held++;
    places_count(&places->n_held, 1);
}

static void places_free(struct places *places, struct share *share)
{
    share->n_held--;
    places_count(&places->n_held, -1);
}

static void places_unwait(struct places *places, struct place *place)
{
    shares_unwait(&places->shares, place->share, &place->link);
    places_count(&places->n_waiting, -1);
}

void places_init(struct places *places, bool is_shared)
{
    *places = (struct places){.is_shared = is_shared, .lock = PTHREAD_MUTEX_INITIALIZER};
    shares_init(&places->shares);
}

void places_deinit(struct places *places)
{
    shares_deinit(&places->shares);
    pthread_mutex_destroy(&places->lock);
}

void places_configure(struct places *places, uint32_t most, uint32_t most_waiting, bool first_come)
{
    places_lock(places);
    atomic_store_explicit(&places->most, most, memory_order_relaxed);
    places->most_waiting = most_waiting;
    places->shares.first_come = first_come || most < PLACES_LEAST_SHARED;
    places_unlock(places);
}

enum places_answer places_ask(struct places *places, struct place *place, uid_t uid, struct inbox *inbox)
{
    enum places_answer answer = PLACES_FULL;

    place->inbox = inbox;
    places_lock(places);
    place->share = shares_find(&places->shares, uid);
    if (shares_allow(&places->shares, place->share, places_n_free(places))) {
        places_take(places, place->share);
        place_move(place, PLACE_HELD);
        answer = PLACES_HELD;
    } else if (places->shares.n_waiting < places->most_waiting) {
        shares_wait(&places->shares, place->share, &place->link);
        places_count(&places->n_waiting, 1);
        place_move(place, PLACE_WAITING);
        answer = PLACES_WAIT;
    }
    places_unlock(places);
    return answer;
}

void places_withdraw(struct places *places, struct place *place)
{
    places_lock(places);
    if (place->state == PLACE_WAITING)
        places_unwait(places, place);
    else if (place->state != PLACE_NONE)
        places_free(places, place->share);
    if (place->state == PLACE_GIVEN)
        inbox_forget(place->inbox, &place->link);
    if (place->state != PLACE_NONE)
        place_move(place, PLACE_NONE);
    places_unlock(places);
}

void place_accept(struct place *place)
{
    place_move(place, PLACE_HELD);
}

struct share *place_hand_on(struct place *place)
{
    place_move(place, PLACE_NONE);
    return place->share;
}

void places_give_back(struct places *places, struct share *share)
{
    places_lock(places);
    places_free(places, share);
    places_unlock(places);
}

/* With the lock held: whoever is next has the place from now on; NULL when nobody may have one. */
static struct place *places_choose(struct places *places)
{
    struct share *share;
    struct place *place;

    if (places->shares.n_waiting == 0)
        return NULL;
    share = shares_choose(&places->shares, places_n_free(places));
    if (!share)
        return NULL;
    place = CONTAINER_OF(share->waiting.next, struct place, link);
    places_unwait(places, place);
    places_take(places, share);
    return place;
}

struct place *places_hand_out(struct places *places, struct inbox *inbox)
{
    struct place *place;

    places_lock(places);
    while ((place = places_choose(places)) && place->inbox != inbox) {
        place_move(place, PLACE_GIVEN);
        inbox_put(place->inbox, INBOX_PLACES, &place->link, NULL);
    }
    if (place)
        place_move(place, PLACE_HELD);
    places_unlock(places);
    return place;
}
