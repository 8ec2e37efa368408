/* Templates: texts with references that are expanded for each request (template.def, and "${file:/path}"). Pure: what a
 * file holds is asked of the caller.
 *
 *   template  = *( literal / "$${" / reference )
 *   reference = "${" NAME "}" / "${file:" PATH "}"
 *
 * "$${" is a literal "${". References to the environment are no part of this: they have been expanded when a template
 * is compiled (config/expand.h). */
#ifndef PORTHOLE_HTTP_TEMPLATE_H
#define PORTHOLE_HTTP_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/http/head_writer.h"

enum template_kind {
    TEMPLATE_LITERAL,
    TEMPLATE_FILE,
#define TEMPLATE(id, name, bytes) TEMPLATE_##id,
#include "proxy/http/template.def"
#undef TEMPLATE
    N_TEMPLATE_KINDS
};

/* Sets of kinds. */
#define TEMPLATE_BIT(kind) (1u << (kind))
#define TEMPLATE_OF_PEER \
    (TEMPLATE_BIT(TEMPLATE_PEER_UID) | TEMPLATE_BIT(TEMPLATE_PEER_GID) | TEMPLATE_BIT(TEMPLATE_PEER_PID))
#define TEMPLATE_OF_REQUEST                                                                                          \
    (TEMPLATE_BIT(TEMPLATE_REQUEST_ID) | TEMPLATE_BIT(TEMPLATE_REQUEST_HOST) | TEMPLATE_BIT(TEMPLATE_REQUEST_PATH) | \
     TEMPLATE_BIT(TEMPLATE_REQUEST_QUERY))

struct template_piece {
    enum template_kind kind;
    struct text text; /* LITERAL; FILE: its path. Followed by a NUL; the template's */
    size_t file;      /* FILE: which one, for whoever asks; the owner's to set, 0 at first */
};

/* Immutable once its owner has numbered its files; several threads may expand it. No two literals stand side by side.
 */
struct template
{
    size_t n_pieces;
    struct template_piece pieces[];
};

/* 0, the caller owns *ret_template; -EINVAL for a reference that is none or has no end; -ENOMEM. */
int template_compile(const char *text, struct template **ret_template) WARN_UNUSED;
/* One without references, whatever the text looks like. NULL: out of memory. */
struct template *template_of_literal(const char *text) WARN_UNUSED;
/* Takes NULL. */
void template_free(struct template *template);

/* "peer.uid"; of N_TEMPLATE_KINDS kinds but LITERAL, "file:/PATH" for FILE. Lives for ever. */
const char *template_name(enum template_kind kind);
/* The kind that "${NAME}" stands for; LITERAL: none. */
enum template_kind template_kind_of(struct text name);
/* Which kinds of pieces it has. */
unsigned template_kinds(const struct template *template);
/* The only text of one without references: terminated, lives as long as the template. NULL when it has any. */
const char *template_text(const struct template *template);
/* How many bytes the pieces have at most whose length is bounded by template.def. */
size_t template_bounded_bytes(const struct template *template);
/* As template_compile reads it. The caller owns it; NULL: out of memory. */
char *template_spell(const struct template *template) WARN_UNUSED;

/* What the references mean for one request; texts are borrowed. */
struct template_values {
    uint32_t uid, gid, pid;
    bool has_peer; /* the three are known */
    struct text request_id, host, path, query;
    /* What the piece's file holds; false when it cannot be used. NULL: no file can. */
    bool (*file)(struct template_values *values, const struct template_piece *piece, struct text *ret_text);
};

enum template_verdict {
    TEMPLATE_DONE,
    TEMPLATE_NO_FILE, /* a file cannot be used */
    TEMPLATE_NO_PEER, /* the peer's credentials are not known */
    TEMPLATE_FULL,    /* the writer has no room */
};

/* Writes what the template is for these values. Unless DONE what was written is a part of it, to be thrown away. */
enum template_verdict template_expand(const struct template *template, struct template_values *values,
                                      struct head_writer *writer);

#endif
