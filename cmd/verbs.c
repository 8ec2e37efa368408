/* The table of verbs, made from verbs.def. */
#include <stddef.h>

#include "cmd/cmd.h"

/* clang-format off */
#define VERB(id, arguments, summary) static const struct cmd_option verbs_options_##id[] = {
#define OPTION(letter, name, argument, sentence) {letter, name, argument, sentence},
#define VERB_END(id) {0, NULL, NULL, NULL}};
/* clang-format on */
#include "cmd/verbs.def"
#undef VERB
#undef OPTION
#undef VERB_END

const struct cmd_verb cmd_verbs[] = {
#define VERB(id, arguments, summary) {#id, cmd_##id, arguments, summary, verbs_options_##id},
#define OPTION(letter, name, argument, sentence)
#define VERB_END(id)
#include "cmd/verbs.def"
#undef VERB
#undef OPTION
#undef VERB_END
    {NULL, NULL, NULL, NULL, NULL},
};
