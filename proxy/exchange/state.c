#include "proxy/exchange/state.h"

const struct state_machine exchange_machine = {
    .name = "exchange",
    .n_states = N_EXCHANGE_STATES,
    .states =
        {
            [EXCHANGE_NEW] = {"NEW", STATE_BIT(EXCHANGE_RECEIVING) | STATE_BIT(EXCHANGE_WAITING) |
                                         STATE_BIT(EXCHANGE_ANSWERED)},
            [EXCHANGE_RECEIVING] = {"RECEIVING", STATE_BIT(EXCHANGE_WAITING) | STATE_BIT(EXCHANGE_ANSWERED)},
            [EXCHANGE_WAITING] = {"WAITING", STATE_BIT(EXCHANGE_ANSWERED)},
            [EXCHANGE_ANSWERED] = {"ANSWERED", STATE_BIT(EXCHANGE_ANSWERED)},
        },
};

void exchange_move(struct exchange *exchange, enum exchange_state to)
{
    state_check(&exchange_machine, exchange->state, to);
    exchange->state = to;
}

void exchange_need_id(struct exchange *exchange)
{
    if (exchange->forward.request_id.length > 0)
        return;
    exchange_env_make_id(exchange->env, exchange->id);
    exchange->forward.request_id = (struct text){exchange->id, ID_BYTES};
}
