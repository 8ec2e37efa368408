#include "proxy/serve/answer_date.h"

#include <time.h>

/* Of the last second in which somebody asked. */
static _Thread_local struct {
    int64_t seconds;
    char text[DATE_BYTES];
} answer_date_last;

const char *answer_date(const struct answer *answer)
{
    struct timespec now;

    for (size_t i = 0; i < answer->n_fields; i++)
        if (answer->fields[i].id == FIELD_DATE && !answer->fields[i].drop)
            return NULL;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != answer_date_last.seconds) {
        date_write(now.tv_sec, answer_date_last.text);
        answer_date_last.seconds = now.tv_sec;
    }
    return answer_date_last.text;
}
