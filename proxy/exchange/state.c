#include "proxy/exchange/state.h"

#include <stdlib.h>
#include <string.h>

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

void exchange_drop_request(struct exchange *exchange)
{
    const struct forward_edit *edit = exchange->forward.edit;

    if (edit && edit->secret)
        explicit_bzero(exchange->request_block, sizeof(*edit) + edit->origin.length + edit->lines.length);
    exchange->forward.edit = NULL;
    free(exchange->request_block);
    exchange->request_block = NULL;
}

void exchange_drop_answer(struct exchange *exchange)
{
    if (exchange->answer_secret_bytes > 0)
        explicit_bzero(exchange->answer_block, exchange->answer_secret_bytes);
    free(exchange->answer_block);
    exchange->answer_block = NULL;
    exchange->answer_secret_bytes = 0;
}

void exchange_need_id(struct exchange *exchange)
{
    if (exchange->forward.request_id.length > 0)
        return;
    exchange_env_make_id(exchange->env, exchange->id);
    exchange->forward.request_id = (struct text){exchange->id, ID_BYTES};
}
