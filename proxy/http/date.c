#include "proxy/http/date.h"

#include <string.h>
#include <time.h>

#define YEAR_FIRST 1900

static void date_put(char *at, unsigned n, int n_digits)
{
    for (int i = n_digits - 1; i >= 0; i--, n /= 10)
        at[i] = (char)('0' + n % 10);
}

void date_write(int64_t seconds, char out[DATE_BYTES])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t time = (time_t)seconds;
    struct tm tm = {.tm_mday = 1};

    gmtime_r(&time, &tm);
    memcpy(out, "Sun, 00 Jan 1900 00:00:00 GMT", DATE_BYTES);
    memcpy(out, days[tm.tm_wday], 3);
    date_put(out + 5, (unsigned)tm.tm_mday, 2);
    memcpy(out + 8, months[tm.tm_mon], 3);
    date_put(out + 12, (unsigned)(tm.tm_year + YEAR_FIRST), 4);
    date_put(out + 17, (unsigned)tm.tm_hour, 2);
    date_put(out + 20, (unsigned)tm.tm_min, 2);
    date_put(out + 23, (unsigned)tm.tm_sec, 2);
}
