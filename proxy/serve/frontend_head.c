/* libmicrohttpd has a reason phrase for each status, and no way to be given another. It asks for it by two functions of
 * its public interface, once for each head that it makes, within the call in which the answer was queued. These
 * definitions stand before its own: in a static program the library's are not linked, from a shared library the call
 * finds ours first.
 *
 * It writes what it is told. So the phrase is followed by the fields, whose lines are written once, in the order that
 * the target has: given one by one, each costs the library three blocks of memory and a thousand instructions. What is
 * left to the library is what it knows alone: Connection, and the framing of what it sends. A library that was never
 * heard to ask, in this thread, is told in its own way. */
#include "proxy/serve/frontend_head.h"

#include <microhttpd.h>

#include "proxy/http/head_writer.h"
#include "proxy/http/status.h"
#include "proxy/serve/answer_date.h"
#include "proxy/serve/early_answer.h"

#define HEAD_BYTES 4096 /* more is told one by one */

static _Thread_local struct {
    struct text phrase; /* borrowed, or of `lines`; empty: that of the status */
    bool heard;         /* the library asks us */
    char lines[HEAD_BYTES];
} frontend_head;

/* The phrase and the lines behind it, less the last line end, which is the library's. */
static bool frontend_head_write(const struct answer *answer, struct text phrase, bool length)
{
    struct head_writer writer = {.out = frontend_head.lines, .size = HEAD_BYTES};
    const char *date = answer_date(answer);

    head_put(&writer, phrase);
    HEAD_PUT(&writer, "\r\n");
    if (date)
        head_put_field(&writer, TEXT_LITERAL("Date"), (struct text){date, DATE_BYTES - 1});
    early_answer_put_fields(&writer, answer->fields, answer->n_fields, length ? &answer->length : NULL);
    frontend_head.phrase = (struct text){writer.out, writer.length - 2};
    return !writer.full;
}

bool frontend_head_tell(const struct answer *answer, bool length)
{
    struct text phrase = answer->reason.length > 0 ? answer->reason : text_of(status_phrase(answer->status));

    if (frontend_head.heard && frontend_head_write(answer, phrase, length))
        return true;
    frontend_head.phrase = phrase;
    return false;
}

void frontend_head_forget(void)
{
    frontend_head.phrase = (struct text){NULL, 0};
}

static struct text frontend_head_phrase(unsigned status)
{
    return frontend_head.phrase.length > 0 ? frontend_head.phrase : text_of(status_phrase(status));
}

/* Asked first. */
size_t MHD_get_reason_phrase_len_for(unsigned status)
{
    frontend_head.heard = true;
    return frontend_head_phrase(status).length;
}

const char *MHD_get_reason_phrase_for(unsigned status)
{
    struct text phrase = frontend_head_phrase(status);

    frontend_head_forget();
    return phrase.data;
}
