#include "proxy/reach/connect_reason.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* libcurl's texts may end in a line end or a blank. */
static int connect_reason_length(const char *text)
{
    size_t length = strlen(text);

    while (length > 0 && strchr(" \r\n", text[length - 1]))
        length--;
    return (int)length;
}

void connect_reason(char *out, size_t size, int code, int error_number, const char *where, const char *said)
{
    const char *text = connect_reason_length(said) > 0 ? said : curl_easy_strerror((CURLcode)code);
    bool is_somewhere = where[0] != '\0';

    /* What the system says is shorter and more precise than what libcurl makes of it. */
    if (error_number != 0)
        snprintf(out, size, "cannot connect%s%s: %s", is_somewhere ? " to " : "", where,
                 strerrordesc_np(error_number) ? strerrordesc_np(error_number) : "unknown error");
    else
        snprintf(out, size, "%.*s%s%s%s", connect_reason_length(text), text, is_somewhere ? " (" : "", where,
                 is_somewhere ? ")" : "");
}
