#include "proxy/report/labels.h"

#include "proxy/base/list.h"

const char *const method_labels[N_METHOD_LABELS] = {"GET",    "HEAD",  "POST",    "PUT",
                                                    "DELETE", "PATCH", "OPTIONS", "other"};
const char *const protocol_labels[N_PROTOCOL_LABELS] = {"stream", "websocket", "tcp", "spdy", "h2c", "other"};
const char *const tls_labels[N_TLS_LABELS] = {[TLS_1_2] = "TLSv1.2", [TLS_1_3] = "TLSv1.3", [TLS_OTHER] = "other"};

enum method_label method_label(struct text method)
{
    for (int i = 0; i < METHOD_OTHER; i++)
        if (text_equal(method, text_of(method_labels[i])))
            return (enum method_label)i;
    return METHOD_OTHER;
}

enum protocol_label protocol_label(struct text upgrade)
{
    const char *end = upgrade.length > 0 ? memchr(upgrade.data, '/', upgrade.length) : NULL;

    if (end)
        upgrade.length = (size_t)(end - upgrade.data);
    for (int i = PROTOCOL_WEBSOCKET; i < PROTOCOL_OTHER; i++)
        if (text_equal_nocase(upgrade, text_of(protocol_labels[i])))
            return (enum protocol_label)i;
    return PROTOCOL_OTHER;
}

enum tls_label tls_label(const char *version)
{
    if (!version)
        return TLS_NONE;
    for (int i = TLS_1_2; i < TLS_OTHER; i++)
        if (strcmp(version, tls_labels[i]) == 0)
            return (enum tls_label)i;
    return TLS_OTHER;
}
