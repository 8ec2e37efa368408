/* The page for people: one document, made of proxy/admin/ui/ by ui.sh when porthole is built. It asks /status, /clients
 * and /tap of the listener that it came from, and nobody else. */
#ifndef PORTHOLE_ADMIN_UI_H
#define PORTHOLE_ADMIN_UI_H

#include <stddef.h>

extern const unsigned char ui_document[];
extern const size_t ui_document_bytes;
/* Its Content-Security-Policy: what is in the document runs, nothing else does, and it is in nobody's frame. */
extern const char ui_policy[];

#endif
