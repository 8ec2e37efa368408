#include "proxy/http/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the interpreter, where there is no JIT: frames within frames, and their memory in KiB. */
#define PATTERN_DEPTH_LIMIT 2000u
#define PATTERN_HEAP_LIMIT_KIB 4096u
/* Of JIT: from the first to the last byte. */
#define PATTERN_STACK_BYTES ((size_t)32 << 10)
#define PATTERN_STACK_MOST_BYTES ((size_t)512 << 10)
/* Of work, where it is measured: a step is a byte that the match has gone on or back by. */
#define PATTERN_WORK_LIMIT UINT64_C(2000000)
#define PATTERN_WORK_OF_MATCH 256u /* may cost as much more, and each byte of the text */
#define PATTERN_WORK_OF_BYTE 16u
#define PATTERN_WORK_OF_CALLOUT 8u
/* More groups than anybody reads. */
#define PATTERN_MOST_GROUPS 31u

struct pattern {
    pcre2_code *code;
    pcre2_code *measured; /* the same, with callouts in front of each item */
    char *text;
    uint32_t n_groups;
};

struct pattern_memory {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool shares;
    uint64_t work, allowed; /* of those that are measured */
    size_t at;              /* where the match was when it was last looked at */
};

static int pattern_refuse(struct pattern_error *error, size_t at, const char *message)
{
    snprintf(error->message, sizeof(error->message), "%s", message);
    error->at = at;
    return -EINVAL;
}

/* PCRE2's own sentence. */
static int pattern_refuse_code(struct pattern_error *error, int code, size_t at)
{
    PCRE2_UCHAR sentence[PATTERN_ERROR_BYTES];

    if (code == PCRE2_ERROR_HEAP_FAILED || code == PCRE2_ERROR_NOMEMORY)
        return -ENOMEM;
    if (pcre2_get_error_message(code, sentence, sizeof(sentence)) < 0)
        return pattern_refuse(error, at, "an error that PCRE2 has no sentence for");
    return pattern_refuse(error, at, (const char *)sentence);
}

static int pattern_compile_code(const char *text, uint32_t more, pcre2_code **ret_code, struct pattern_error *error)
{
    const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_UTF |
                             PCRE2_NEVER_BACKSLASH_C | PCRE2_DUPNAMES;
    PCRE2_SIZE at = 0;
    int code = 0;

    *ret_code = pcre2_compile((PCRE2_SPTR)text, strlen(text), options | more, &code, &at, NULL);
    if (!*ret_code)
        return pattern_refuse_code(error, code, at);
    /* Without it (no memory may be made executable) the interpreter matches. */
    (void)pcre2_jit_compile(*ret_code, PCRE2_JIT_COMPLETE);
    return 0;
}

static int pattern_compile_both(struct pattern *pattern, struct pattern_error *error)
{
    int r = pattern_compile_code(pattern->text, 0, &pattern->code, error);

    if (r == 0 && (pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &pattern->n_groups) != 0 ||
                   pattern->n_groups > PATTERN_MOST_GROUPS))
        r = pattern_refuse(error, strlen(pattern->text),
                           "more than 31 groups; write (?:...) where nobody needs what it caught");
    return r < 0 ? r : pattern_compile_code(pattern->text, PCRE2_AUTO_CALLOUT, &pattern->measured, error);
}

int pattern_compile(const char *text, struct pattern **ret_pattern, struct pattern_error *ret_error)
{
    size_t length = strlen(text);
    struct pattern *pattern;
    int r;

    if (length > PATTERN_MOST_BYTES)
        return pattern_refuse(ret_error, PATTERN_MOST_BYTES, "more than 4096 bytes");
    pattern = calloc(1, sizeof(*pattern));
    if (!pattern)
        return -ENOMEM;
    pattern->text = strdup(text);
    r = pattern->text ? pattern_compile_both(pattern, ret_error) : -ENOMEM;
    if (r < 0)
        pattern_free(pattern);
    else
        *ret_pattern = pattern;
    return r;
}

void pattern_free(struct pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    pcre2_code_free(pattern->measured);
    free(pattern->text);
    free(pattern);
}

const char *pattern_text(const struct pattern *pattern)
{
    return pattern->text;
}

unsigned pattern_groups(const struct pattern *pattern)
{
    return pattern->n_groups;
}

/* The limit of PCRE2 does not count how far a repeat of one character goes, so that two of them next to each other
 * (".*a.*b") cost the square of the text. In front of each item of the pattern we are told where the match is. */
static int pattern_on_callout(pcre2_callout_block *block, void *closure)
{
    struct pattern_memory *memory = closure;
    size_t at = block->current_position;

    memory->work += PATTERN_WORK_OF_CALLOUT + (at > memory->at ? at - memory->at : memory->at - at);
    memory->at = at;
    return memory->work > memory->allowed ? PCRE2_ERROR_CALLOUT : 0;
}

struct pattern_memory *pattern_memory_new(void)
{
    struct pattern_memory *memory = calloc(1, sizeof(*memory));

    if (!memory)
        return NULL;
    memory->data = pcre2_match_data_create(PATTERN_MOST_GROUPS + 1, NULL);
    memory->context = pcre2_match_context_create(NULL);
    if (!memory->data || !memory->context) {
        pattern_memory_free(memory);
        return NULL;
    }
    pcre2_set_match_limit(memory->context, PATTERN_MATCH_LIMIT);
    pcre2_set_depth_limit(memory->context, PATTERN_DEPTH_LIMIT);
    pcre2_set_heap_limit(memory->context, PATTERN_HEAP_LIMIT_KIB);
    pcre2_set_callout(memory->context, pattern_on_callout, memory);
    /* NULL where there is no JIT; with it, matching would otherwise have 32 KiB of the thread's stack. */
    memory->stack = pcre2_jit_stack_create(PATTERN_STACK_BYTES, PATTERN_STACK_MOST_BYTES, NULL);
    if (memory->stack)
        pcre2_jit_stack_assign(memory->context, NULL, memory->stack);
    return memory;
}

void pattern_memory_free(struct pattern_memory *memory)
{
    if (!memory)
        return;
    pcre2_match_data_free(memory->data);
    pcre2_match_context_free(memory->context);
    if (memory->stack)
        pcre2_jit_stack_free(memory->stack);
    free(memory);
}

static void pattern_memory_reset(struct pattern_memory *memory)
{
    memory->work = 0;
    memory->allowed = PATTERN_WORK_LIMIT;
}

void pattern_memory_share(struct pattern_memory *memory, bool share)
{
    memory->shares = share;
    pattern_memory_reset(memory);
}

/* Before a match whose work is measured. */
static void pattern_memory_allow(struct pattern_memory *memory, size_t length)
{
    if (!memory->shares)
        pattern_memory_reset(memory);
    memory->allowed += PATTERN_WORK_OF_MATCH + PATTERN_WORK_OF_BYTE * (uint64_t)length;
    memory->at = 0;
}

enum pattern_verdict pattern_match(const struct pattern *pattern, struct text text, struct pattern_memory *memory)
{
    bool measured = memory->shares || text.length > PATTERN_SHORT_BYTES;
    const char *data = text.length > 0 ? text.data : "";
    int r;

    if (measured)
        pattern_memory_allow(memory, text.length);
    r = pcre2_match(measured ? pattern->measured : pattern->code, (PCRE2_SPTR)data, text.length, 0, 0, memory->data,
                    memory->context);
    if (r == PCRE2_ERROR_NOMATCH)
        return PATTERN_DOES_NOT;
    return r > 0 ? PATTERN_FITS : PATTERN_UNDECIDED;
}

struct text pattern_group(const struct pattern_memory *memory, struct text text, unsigned group)
{
    const PCRE2_SIZE *extents = pcre2_get_ovector_pointer(memory->data);
    PCRE2_SIZE begin, end;

    if (group > PATTERN_MOST_GROUPS)
        return (struct text){"", 0};
    begin = extents[2 * group];
    end = extents[2 * group + 1];
    /* Unset ones, also behind the last that was set, are PCRE2_UNSET. */
    if (begin == PCRE2_UNSET || end > text.length || begin > end)
        return (struct text){"", 0};
    return (struct text){text.data + begin, end - begin};
}

const char *pattern_library_version(void)
{
    static char version[64];

    if (version[0] == '\0' && pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= (int)sizeof(version))
        (void)pcre2_config(PCRE2_CONFIG_VERSION, version);
    return version;
}
