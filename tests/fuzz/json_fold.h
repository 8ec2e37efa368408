/* How decoders take keys for one, told a second time, upon jansson. */
#ifndef PORTHOLE_TESTS_JSON_FOLD_H
#define PORTHOLE_TESTS_JSON_FOLD_H

#include <stdbool.h>

#include <jansson.h>

/* What they take for one letter becomes that, each two or three bytes as one. In place. */
void json_fold_text(char *text);
/* Whether an object in it has two keys that are alike. */
bool json_fold_has_alike(json_t *value);

#endif
