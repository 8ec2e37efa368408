/* The judge of fuzz_exchange: whether what everybody heard can come from what everybody said. */
#ifndef PORTHOLE_TESTS_EXCHANGE_JUDGE_H
#define PORTHOLE_TESTS_EXCHANGE_JUDGE_H

/* Looks at the world after world_close; fails where a promise was broken. */
void judge(void);

#endif
